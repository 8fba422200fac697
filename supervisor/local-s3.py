"""A local S3 server for rehearsals and tests: moto's, with authentication on and one bucket.

Objects live in this process: they are gone when it ends, and the oldest make room when there is too much of them, so that
a rehearsal may run for days. Only S3 is served, and only to the one key pair it was started
with; a request without a signature, with another key or with a wrong secret is refused.

The key pair comes from a file nobody else may read (--credentials, JSON with accessKeyId and secretAccessKey), or from
GRAIL_S3_ACCESS_KEY_ID and GRAIL_S3_SECRET_ACCESS_KEY; never from the command line, which every user of the host can see.

Prints one line when it answers: `ready ENDPOINT bucket NAME (…)`. Ends on TERM and INT, and with --until-stdin-closes when
whoever started it is gone.
"""

import argparse
import json
import os
import signal
import socket
import stat
import sys
import threading
from xml.sax.saxutils import escape

# Read by moto when it is imported: no request goes unchecked, not even the first.
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "0"
# Bucket names come from the path alone; an address such as 127.0.0.1 is no bucket.
os.environ["S3_IGNORE_SUBDOMAIN_BUCKETNAME"] = "true"

ACCOUNT = "123456789012"
KEY_ID, SECRET = "GRAIL_S3_ACCESS_KEY_ID", "GRAIL_S3_SECRET_ACCESS_KEY"


def refuse(sentence):
    print(f"local-s3: {sentence}", file=sys.stderr)
    sys.exit(1)


def key_pair(path):
    if path is None:
        pair = os.environ.pop(KEY_ID, ""), os.environ.pop(SECRET, "")
        if not all(pair):
            refuse(f"no key pair: give --credentials FILE, or set {KEY_ID} and {SECRET}")
        return pair
    try:
        mode = os.stat(path).st_mode
        if stat.S_IMODE(mode) & 0o077:
            refuse(f"{path} may be read by others (mode {stat.S_IMODE(mode):04o}): chmod 600 it")
        with open(path, encoding="utf-8") as file:
            values = json.load(file)
        pair = values["accessKeyId"], values["secretAccessKey"]
        if not all(isinstance(value, str) and value for value in pair):
            raise ValueError
        return pair
    except OSError as error:
        refuse(f"{path} cannot be read: {error.strerror}")
    except (ValueError, KeyError, TypeError):
        refuse(f"{path} is not JSON with accessKeyId and secretAccessKey")


def admit(access_key_id, secret_access_key, bucket):
    """Makes the one user and the one bucket, inside this process: there is no moment at which anybody may do so over HTTP."""
    from moto.iam.models import iam_backends
    from moto.s3.exceptions import InvalidBucketName
    from moto.s3.models import s3_backends

    iam = iam_backends[ACCOUNT]["aws"]
    iam.create_user("us-east-1", "grail")
    key = iam.create_access_key("grail")
    key.access_key_id, key.secret_access_key = access_key_id, secret_access_key
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    iam.put_user_policy("grail", "s3", json.dumps(everything))
    try:
        s3_backends[ACCOUNT]["aws"].create_bucket(bucket, "us-east-1")
    except InvalidBucketName:
        refuse(f"{bucket!r} is no name for a bucket: 3 to 63 lower-case letters, digits and dashes")


def know_uploads():
    """An upload that was aborted or never opened is NoSuchUpload, as at every real store; moto 5.2.5 breaks with a 500."""
    from moto.s3.exceptions import NoSuchUpload
    from moto.s3.models import S3Backend

    def guarded(method):
        def known(self, bucket_name, multipart_id, *rest):
            if multipart_id not in self.get_bucket(bucket_name).multiparts:
                raise NoSuchUpload(upload_id=multipart_id)
            return method(self, bucket_name, multipart_id, *rest)

        return known

    def without_parts(complete):
        def completed(*args):
            key = complete(*args)
            # moto keeps the parts beside the object: twice the memory for what nobody reads again.
            key.multipart.dispose()
            key.multipart.parts.clear()
            return key

        return completed

    S3Backend.upload_part = guarded(S3Backend.upload_part)
    S3Backend.complete_multipart_upload = guarded(without_parts(S3Backend.complete_multipart_upload))


def keep_newest(limit):
    """Removes the oldest objects when all together exceed `limit` bytes, but never the one that was just stored."""
    from moto.s3.models import S3Backend

    put, lock = S3Backend.put_object, threading.Lock()

    def bounded(self, bucket_name, *args, **kwargs):
        stored = put(self, bucket_name, *args, **kwargs)
        with lock:
            objects = sorted(self.get_bucket(bucket_name).keys.values(), key=lambda key: key.last_modified)
            total = sum(key.size for key in objects)
            for key in objects:
                if total <= limit or key is stored:
                    break
                total -= key.size
                self.delete_object(bucket_name, key.name)
        return stored

    S3Backend.put_object = bounded


def signed_only(app):
    """Refuses what carries no signature: moto lets anonymous requests through to public buckets, and breaks on others."""

    def guarded(environ, start_response):
        if environ.get("HTTP_AUTHORIZATION", "").startswith("AWS4-HMAC-SHA256 "):
            return app(environ, start_response)
        path = escape(environ.get("PATH_INFO", ""))
        body = f"<Error><Code>AccessDenied</Code><Message>Unsigned request</Message><Resource>{path}</Resource></Error>"
        start_response("403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(body.encode())))])
        return [body.encode()]

    return guarded


def main():
    parser = argparse.ArgumentParser(description="a local S3 server; objects are kept in memory")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--bucket", default="grail")
    parser.add_argument("--credentials", metavar="FILE", help="JSON with accessKeyId and secretAccessKey, mode 600")
    parser.add_argument("--limit-mib", type=int, default=1024, help="oldest objects go when all exceed this; default 1024")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end with the process that holds the other end")
    options = parser.parse_args()
    pair = key_pair(options.credentials)

    from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    class Handler(MotoRequestHandler):
        # Connections are kept, as real servers do; the SDK's pool is then tested too.
        protocol_version = "HTTP/1.1"
        # Headers and body are two writes: without this the second one waits 40 ms for the first one's acknowledgement.
        disable_nagle_algorithm = True

        def log_request(self, *_):
            pass

    admit(*pair, options.bucket)
    know_uploads()
    keep_newest(options.limit_mib * 1024 * 1024)
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        # Bound here and not by werkzeug, which would talk about the failure itself.
        listening.bind((options.host, options.port))
    except (OSError, OverflowError) as error:
        refuse(f"cannot listen on {options.host}:{options.port}: {getattr(error, 'strerror', None) or error}")
    listening.listen(128)
    app, port = signed_only(create_backend_app("s3")), listening.getsockname()[1]
    server = make_server(options.host, port, app, threaded=True, request_handler=Handler, fd=listening.fileno())
    server.daemon_threads = True

    def end(*_):
        # Memory is all there is: nothing to finish, and a request in flight must not delay the end.
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    if options.until_stdin_closes:
        threading.Thread(target=lambda: (sys.stdin.buffer.read(), end()), daemon=True).start()

    print(
        f"ready http://{options.host}:{port} bucket {options.bucket}"
        f" (the newest {options.limit_mib} MiB of objects are kept in memory and are gone when this program ends)",
        flush=True,
    )
    server.serve_forever()


if __name__ == "__main__":
    main()
