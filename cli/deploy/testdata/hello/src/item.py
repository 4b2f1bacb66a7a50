def main(args):
    return {"body": args["__ow_path"]}
