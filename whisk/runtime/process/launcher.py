"""The Python side of a process instance: reads frames from fd 3, answers on
fd 4; wire.go describes them. Calls are carried out one after the other."""
import json
import os
import sys
import traceback
from struct import Struct

HEADER = Struct("<IBI")
LENGTH = Struct("<I")
READY, INIT, RUN, OK, FAILED = 1, 2, 3, 4, 5
RUN_ENV = ("__OW_NAMESPACE", "__OW_ACTION_NAME", "__OW_ACTION_VERSION", "__OW_ACTIVATION_ID",
           "__OW_TRANSACTION_ID", "__OW_DEADLINE", "__OW_API_KEY")

NOT_LOCATED = "The action failed to generate or locate a binary. See logs for details."
NOT_STARTED = "Cannot start action. Check logs for details."
NOT_A_DICTIONARY = "The action did not return a dictionary or array."

encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
encode_ascii = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
decode = json.loads


class InitFailure(Exception):
    """Ends Init: args are the answer's text and what goes to stderr."""


class Wire:
    """Frames on two file descriptors."""

    def __init__(self, read=os.read, write=os.write):
        self.read, self.write = read, write
        self.buffer = b""

    def receive(self):
        """Answers type, call id and the two sections, or None at the end."""
        buf = self.buffer
        while len(buf) < HEADER.size:
            chunk = self.read(3, 65536)
            if not chunk:
                return None
            buf = buf + chunk if buf else chunk
        size, kind, call = HEADER.unpack_from(buf)
        end = HEADER.size + size
        if len(buf) < end:
            parts, have = [buf], len(buf)
            while have < end:
                chunk = self.read(3, min(1 << 20, end - have))
                if not chunk:
                    return None
                parts.append(chunk)
                have += len(chunk)
            buf = b"".join(parts)
        self.buffer = buf[end:]
        start = HEADER.size + LENGTH.size
        middle = start + LENGTH.unpack_from(buf, HEADER.size)[0]
        return kind, call, buf[start:middle], buf[middle:end]

    def send(self, kind, call, body):
        frame = HEADER.pack(len(body), kind, call) + body
        n = self.write(4, frame)
        while n < len(frame):
            frame = memoryview(frame)[n:]
            n = self.write(4, frame)


def load_text(path, source):
    """Runs source as the module main__ and answers it."""
    try:
        code = compile(source, path, "exec")
    except (SyntaxError, ValueError):
        raise InitFailure(NOT_LOCATED, traceback.format_exc(0))
    module = type(sys)("main__")
    module.__file__ = path
    sys.modules["main__"] = module
    exec(code, module.__dict__)
    return module


def load_tree(folder):
    """Runs the main file of an unpacked archive and answers its module."""
    os.chdir(folder)
    sys.path.insert(0, folder)
    if os.path.isdir("virtualenv"):
        activate = os.path.join(folder, "virtualenv/bin/activate_this.py")
        if not os.path.exists(activate):
            raise InitFailure(NOT_LOCATED, "Invalid virtualenv. Zip file does not include 'activate_this.py'.")
        with open(activate, "rb") as f:
            exec(compile(f.read(), activate, "exec"), {"__file__": activate, "__name__": "activate_this"})
    for name in ("main__.py", "__main__.py"):
        if os.path.exists(name):
            with open(name, "rb") as f:
                return load_text(os.path.join(folder, name), f.read())
    raise InitFailure(NOT_LOCATED, "Zip file does not include main__")


def load(said, source):
    """Answers the action's function; raises InitFailure."""
    os.environ.update(said["env"])
    try:
        module = load_tree(said["dir"]) if said.get("dir") else load_text("main__.py", source)
        function = getattr(module, said.get("main") or "main")
    except InitFailure:
        raise
    except Exception:
        raise InitFailure(NOT_STARTED, traceback.format_exc())
    if not callable(function):
        raise InitFailure(NOT_STARTED, "the entry point is not a function")
    return function


def set_environment(said, current):
    values = said.decode().split("\0")
    for i, name in enumerate(RUN_ENV):
        if values[i] != current[i]:
            current[i] = values[i]
            if values[i] or name != "__OW_API_KEY":
                os.environ[name] = values[i]
            else:
                os.environ.pop(name, None)


def to_json(value):
    try:
        return encode(value).encode()
    except UnicodeEncodeError:  # a lone surrogate
        return encode_ascii(value).encode()


def error(text):
    return to_json({"error": text})


def call_action(function, args):
    """Answers the frame type and body for one call."""
    try:
        result = function(decode(args))
    except Exception as ex:
        print(traceback.format_exc(), file=sys.stderr)
        return OK, error(str(ex))
    if not isinstance(result, (dict, list, tuple)):
        return FAILED, error(NOT_A_DICTIONARY)
    try:
        return OK, to_json(result)
    except Exception as ex:
        print(traceback.format_exc(), file=sys.stderr)
        return FAILED, error("An error has occurred: " + str(ex))


def flush():
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except Exception:  # closed or replaced by the action
        pass


def serve(wire):
    function, current = None, [None] * len(RUN_ENV)
    wire.send(READY, 0, b"")
    while True:
        frame = wire.receive()
        if frame is None:
            return
        kind, call, said, rest = frame
        if kind == RUN:
            set_environment(said, current)
            kind, body = call_action(function, rest)
        else:
            try:
                function = load(decode(said), rest)
                kind, body = OK, b'{"ok":true}'
            except InitFailure as failure:
                print(failure.args[1], file=sys.stderr)
                kind, body = FAILED, error(failure.args[0])
        flush()
        wire.send(kind, call, body)


for stream in (sys.stdout, sys.stderr):
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")
for fd in (3, 4):
    os.set_inheritable(fd, False)
os.chdir(os.environ["HOME"])
sys.path[0] = os.environ["HOME"]
sys.argv = ["main__.py"]
serve(Wire())
