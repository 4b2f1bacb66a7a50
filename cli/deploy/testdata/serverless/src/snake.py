def main(args):
    return {"snake": args.get("stage")}
