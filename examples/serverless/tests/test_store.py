"""COS and OSS by their own SDKs, against a scripted server: what is asked, and what each answer means.

The real services cannot be reached from a test. That their SDKs send the create-only header, sign it,
and say what the store answered, can be seen here; that the services honour it is their documentation's word.
"""

import os
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest import mock
from urllib.parse import unquote

from store import CosStore, DirStore, NotFound, OssStore, S3Store, StoreError, TooLarge, from_environment
from tests.support import motion_picture

META = {"device": "porch-1", "event-final": "false"}


class Scripted:
    """Answers each request with the next of its answers, and remembers what it was asked."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                script.asked.append((self.command, self.path, headers, body))
                status, headers, answer = script.answers.pop(0)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in headers:
                    self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer)

            do_PUT = do_HEAD = do_GET

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # clients that hang up are meant to
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def error(status, code):
    said = f"<Error><Code>{code}</Code><Message>x</Message><Resource>x</Resource><RequestId>1</RequestId><TraceId>1</TraceId></Error>"
    return status, {"Content-Type": "application/xml", "x-cos-request-id": "1", "x-oss-request-id": "1"}, said.encode()


class Either:
    """What both stores have to do; `make` and `prefix` differ."""

    body = motion_picture()[1]
    bucket = "pictures-1250000000"

    def asking(self, *answers):
        server = Scripted(*answers)
        self.addCleanup(server.close)
        return server, self.make(server.address)

    def test_a_result_is_put_create_only_and_the_header_is_signed_or_sent(self):
        server, store = self.asking((200, {"ETag": '"x"', self.request_id: "1"}, b""))
        self.assertTrue(store.create(self.bucket, "results/a.json", b"{}\n", "application/json"))
        [(method, path, headers, body)] = server.asked
        self.assertEqual((method, body, headers["content-type"]), ("PUT", b"{}\n", "application/json"))
        self.assertTrue(unquote(path).endswith("/results/a.json"), path)
        self.assertEqual(headers[f"x-{self.prefix}-forbid-overwrite"], "true")
        self.assertIn("authorization", headers)

    def test_a_result_that_is_there_is_no_error(self):
        _, store = self.asking(error(409, self.exists_code))
        self.assertFalse(store.create(self.bucket, "results/a.json", b"{}", "application/json"))

    def test_a_picture_comes_with_its_metadata(self):
        headers = {f"x-{self.prefix}-meta-{name}": value for name, value in META.items()}
        _, store = self.asking((200, {"Content-Type": "image/jpeg", self.request_id: "1", **headers}, self.body))
        found = store.get(self.bucket, "v1/a.jpg")
        self.assertEqual((found.body, found.metadata, found.content_type), (self.body, META, "image/jpeg"))

    def test_a_deleted_picture_is_not_found_and_a_missing_bucket_is_an_error(self):
        _, store = self.asking(error(404, "NoSuchKey"), error(404, "NoSuchBucket"))
        with self.assertRaises(NotFound):
            store.get(self.bucket, "v1/a.jpg")
        with self.assertRaises(StoreError):
            store.get(self.bucket, "v1/a.jpg")

    def test_what_is_too_large_is_not_read(self):
        _, store = self.asking((200, {"Content-Length": str(2**40), self.request_id: "1"}, b""))
        with self.assertRaises(TooLarge):
            store.get(self.bucket, "v1/a.jpg")

    def test_one_cut_off_in_the_middle_is_an_error(self):
        answer = (200, {"Content-Length": "9999", "Connection": "close", self.request_id: "1"}, self.body[:100])
        _, store = self.asking(answer)
        with self.assertRaises(StoreError):
            store.get(self.bucket, "v1/a.jpg")

    def test_whether_it_is_there(self):
        headers = {self.request_id: "1"}
        _, store = self.asking((200, headers, b""), (404, headers, b""), (403, headers, b""))
        self.assertEqual([store.exists(self.bucket, "results/a.json") for _ in range(3)], [True, False, False])

    def test_what_fails_is_to_be_tried_again(self):
        for call in ("get", "exists", "create"):
            _, store = self.asking(*[error(503, "ServiceUnavailable")] * 5)
            more = (b"{}", "application/json") if call == "create" else ()
            with self.assertRaises(StoreError, msg=call):
                getattr(store, call)(self.bucket, "v1/a.jpg", *more)
        store = self.make("127.0.0.1:9")
        with self.assertRaises(StoreError):
            store.get(self.bucket, "v1/a.jpg")


class Cos(Either, unittest.TestCase):
    prefix, request_id, exists_code = "cos", "x-cos-request-id", "FileAlreadyExists"

    def make(self, address):
        return CosStore("ap-guangzhou", "AKIDEXAMPLE", "secret", "token", Domain=address, Scheme="http")


class Oss(Either, unittest.TestCase):
    prefix, request_id, exists_code = "oss", "x-oss-request-id", "FileAlreadyExists"

    def make(self, address):
        return OssStore(f"http://{address}", "KEYEXAMPLE", "secret", "token")


class S3(unittest.TestCase):
    """What SeaweedFS does not do: see test_servers.py for what it does."""

    def asking(self, *answers):
        server = Scripted(*answers)
        self.addCleanup(server.close)
        keys = {"aws_access_key_id": "K", "aws_secret_access_key": "S", "region_name": "us-east-1"}
        return server, S3Store(endpoint_url=f"http://{server.address}", **keys)

    def test_a_write_beside_another_one_is_tried_until_it_is_known_how_that_ended(self):
        conflict = error(409, "ConditionalRequestConflict")
        server, store = self.asking(conflict, error(412, "PreconditionFailed"))
        self.assertFalse(store.create("pictures", "results/a.json", b"{}", "application/json"))
        self.assertEqual([headers["if-none-match"] for _, _, headers, _ in server.asked], ["*", "*"])
        _, store = self.asking(*[conflict] * 3)
        with self.assertRaisesRegex(StoreError, "does not end"):
            store.create("pictures", "results/a.json", b"{}", "application/json")

    def test_old_minio_says_not_modified(self):
        _, store = self.asking((304, {}, b""))
        self.assertFalse(store.create("pictures", "results/a.json", b"{}", "application/json"))

    def test_without_leave_to_list_403_means_not_there(self):
        _, store = self.asking((403, {}, b""))
        self.assertFalse(store.exists("pictures", "results/a.json"))

    def test_a_missing_bucket_is_no_deleted_picture(self):
        _, store = self.asking(error(404, "NoSuchBucket"), error(404, "NoSuchKey"))
        with self.assertRaises(StoreError):
            store.get("pictures", "v1/a.jpg")
        with self.assertRaises(NotFound):
            store.get("pictures", "v1/a.jpg")


class FromTheEnvironment(unittest.TestCase):
    def test_each_store_is_made_from_what_its_platform_sets(self):
        scf = {"TENCENTCLOUD_SECRETID": "i", "TENCENTCLOUD_SECRETKEY": "k", "TENCENTCLOUD_SESSIONTOKEN": "t"}
        store = from_environment("cos", {**scf, "TENCENTCLOUD_REGION": "ap-guangzhou"})
        self.assertIsInstance(store, CosStore)
        fc = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "i", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "k", "FC_REGION": "cn-hangzhou"}
        store = from_environment("oss", fc)
        self.assertEqual(store._endpoint, "https://oss-cn-hangzhou-internal.aliyuncs.com")
        self.assertIsInstance(from_environment("s3", {"STORE": "dir", "STORE_DIR": "/srv/pictures:/srv/results"}), DirStore)
        with mock.patch.dict(os.environ, {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}):
            self.assertIsInstance(from_environment("s3", {}), S3Store)

    def test_what_is_wrong_is_said(self):
        for env, said in [({"STORE": "ftp"}, "expected s3, cos"), ({"STORE": "dir"}, "set STORE_DIR"),
                          ({"STORE": "dir", "STORE_DIR": "/a/x:/b/x"}, "one name")]:
            with self.assertRaisesRegex(ValueError, said):
                from_environment("s3", env)
