"""The few things that the walkthrough asks of the object store.

    s3.py ENDPOINT make-bucket BUCKET | get BUCKET KEY FILE | list BUCKET PREFIX
"""

import sys

import boto3
from botocore.config import Config

once = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"})
s3 = boto3.client("s3", endpoint_url=sys.argv[1], config=once)
match sys.argv[2:]:
    case ["make-bucket", bucket]:
        s3.create_bucket(Bucket=bucket)
    case ["get", bucket, key, file]:
        s3.download_file(bucket, key, file)
    case ["list", bucket, prefix]:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for found in page.get("Contents", []):
                print(found["Size"], found["Key"])
    case _:
        sys.exit(__doc__)
