"""Entry points, deployment files and pipelines: all that can be known without a cloud."""

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import yaml

from handler import Picture, Retry
from store import DirStore
from tests.support import PICTURES, SERVERLESS, motion_picture, quiet, servers, shapes
from vedette_events import EventError, facts

TARGETS = {"aws-lambda": "app", "tencent-scf": "index", "alibaba-fc": "index"}


class CloudFormation(yaml.SafeLoader):
    """YAML with CloudFormation's short forms, in their long ones."""


def _short(loader, suffix, node):
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    value = loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else loader.construct_sequence(node)
    return {name: value.split(".", 1) if suffix == "GetAtt" else value}


CloudFormation.add_multi_constructor("!", _short)


def load(name):
    with (SERVERLESS / name).open() as file:
        return list(yaml.load_all(file, CloudFormation))


def loaded(target):
    spec = importlib.util.spec_from_file_location(target.replace("-", "_"), SERVERLESS / target / f"{TARGETS[target]}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class EntryPoints(unittest.TestCase):
    """Each called as its platform does, with a directory in place of the provider's store."""

    def setUp(self):
        self.root = Path(self.enterContext(tempfile.TemporaryDirectory())) / "pictures-1250000000"
        shutil.copytree(PICTURES, self.root)
        shutil.copytree(PICTURES, self.root.with_name("pictures"))
        roots = f"{self.root}:{self.root.with_name('pictures')}"
        self.enterContext(mock.patch.dict(os.environ, {"STORE": "dir", "STORE_DIR": roots}))

    def test_tencent_scf(self):
        self.called(loaded("tencent-scf").main_handler, "tencent-cos", lambda event: event, {"request_id": "1"})

    def test_aws_lambda(self):
        self.called(loaded("aws-lambda").handler, "aws-s3", lambda event: event, SimpleNamespace(aws_request_id="1"))

    def test_alibaba_fc(self):
        context = SimpleNamespace(credentials=None, region="cn-hangzhou", request_id="1")
        self.called(loaded("alibaba-fc").handler, "alibaba-oss", lambda event: json.dumps(event).encode(), context)

    def called(self, handler, shape, as_sent, context):
        event = as_sent(shapes()[shape]["cases"][0]["event"])
        with quiet():
            self.assertEqual(handler(event, context), {"done": 1})
            self.assertEqual(handler(event, context), {"already": 1})
            self.assertEqual(handler(as_sent(shapes()[shape]["cases"][-1]["event"]), context), {})
            with self.assertRaises(EventError):
                handler(as_sent({}), context)
            shutil.rmtree(self.root)
            shutil.rmtree(self.root.with_name("pictures"))
            with self.assertRaises(Retry):
                handler(event, context)

    def test_alibaba_fc_takes_the_credentials_of_the_invocation(self):
        module, seen = loaded("alibaba-fc"), {}

        def made(kind, env):
            seen.update(env)
            return DirStore(self.root)

        role = SimpleNamespace(access_key_id="new", access_key_secret="secret", security_token="token")
        with quiet(), mock.patch.object(module, "from_environment", made):
            module.handler(b'{"events": []}', SimpleNamespace(credentials=role))
        self.assertEqual((seen["ALIBABA_CLOUD_ACCESS_KEY_ID"], seen["ALIBABA_CLOUD_SECURITY_TOKEN"]), ("new", "token"))

    def test_packages_hold_all_that_is_imported_and_import_no_other_provider(self):
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "serverless"
            shutil.copytree(SERVERLESS, copy, ignore=shutil.ignore_patterns("build", "tests", "__pycache__"))
            env = {"PATH": os.environ["PATH"], "PYTHON": sys.executable, "WITHOUT_PACKAGES": "1"}
            subprocess.run([copy / "package", "all"], env=env, check=True, stdout=subprocess.DEVNULL)
            for target, module in TARGETS.items():
                providers = "('boto3', 'qcloud_cos', 'oss2', 'PIL')"
                check = f"import sys, {module}; print([m for m in {providers} if m in sys.modules])"
                command = [sys.executable, "-B", "-c", check]
                told = subprocess.run(command, cwd=copy / "build" / target, check=True, capture_output=True, text=True)
                self.assertEqual(told.stdout.strip(), "[]", target)


class Files(unittest.TestCase):
    def test_every_yaml_file_parses(self):
        names = [p.relative_to(SERVERLESS) for p in SERVERLESS.rglob("*.y*ml") if "build" not in p.parts]
        self.assertEqual(len(names), 7, names)
        for name in names:
            self.assertTrue(all(load(name)), name)

    def test_the_sam_template_becomes_what_it_should(self):
        from samtranslator.translator.transform import transform

        [template] = load("aws-lambda/template.yaml")
        handler, module = template["Resources"]["Function"]["Properties"]["Handler"].split(".")[::-1]
        self.assertTrue(hasattr(loaded("aws-lambda"), handler) and module == TARGETS["aws-lambda"])
        template["Resources"]["Function"]["Properties"]["CodeUri"] = "s3://code/function.zip"
        with mock.patch.dict(os.environ, {"AWS_DEFAULT_REGION": "eu-central-1"}):
            done = transform(template, {"BucketName": "pictures"}, SimpleNamespace(load=dict))["Resources"]
        [rule] = done["Pictures"]["Properties"]["NotificationConfiguration"]["LambdaConfigurations"]
        self.assertEqual(rule["Event"], "s3:ObjectCreated:*")
        self.assertEqual(rule["Filter"]["S3Key"]["Rules"], [{"Name": "prefix", "Value": "v1/"}])
        kinds = [resource["Type"] for resource in done.values()]
        for kind in ("Version", "Alias", "EventInvokeConfig", "Permission"):
            self.assertEqual(kinds.count(f"AWS::Lambda::{kind}"), 1, kind)
        # The trigger calls the alias, and a failed event goes to the queue.
        [alias] = [name for name, resource in done.items() if resource["Type"] == "AWS::Lambda::Alias"]
        self.assertEqual(rule["Function"], {"Ref": alias})
        [role] = [resource["Properties"] for resource in done.values() if resource["Type"] == "AWS::IAM::Role"]
        statements = [s for p in role["Policies"] for s in p["PolicyDocument"]["Statement"]]
        allowed = {}
        for statement in statements:
            for action in [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]:
                allowed.setdefault(action, []).append(str(statement["Resource"]).split("/", 1)[-1].rstrip("'}"))
        self.assertEqual(sorted(allowed), ["s3:GetObject", "s3:PutObject", "sqs:SendMessage"])
        self.assertEqual((allowed["s3:GetObject"], allowed["s3:PutObject"]), (["v1/*", "results/*"], ["results/*"]))

    def test_triggers_see_pictures_and_never_results(self):
        [scf] = load("tencent-scf/serverless.yml")
        trigger = scf["inputs"]["events"][0]["cos"]["parameters"]
        self.assertEqual((trigger["events"], trigger["filter"]["prefix"]), ("cos:ObjectCreated:*", "v1/"))
        self.assertEqual(scf["inputs"]["handler"], "index.main_handler")
        [fc] = load("alibaba-fc/s.yaml")
        config = fc["resources"]["pictures"]["props"]["triggers"][0]["triggerConfig"]
        self.assertEqual(config["filter"]["key"]["prefix"], "v1/")
        self.assertNotIn("oss:ObjectCreated:*", config["events"], "it fires for each part of an upload")
        self.assertIn("oss:ObjectCreated:PutObject", config["events"])

    def test_knative_files_name_each_other_and_the_image_what_is_there(self):
        [service], [_, trigger] = load("knative/service.yaml"), load("knative/trigger.yaml")
        self.assertEqual(trigger["spec"]["subscriber"]["ref"]["name"], service["metadata"]["name"])
        [container] = service["spec"]["template"]["spec"]["containers"]
        self.assertNotIn("SECRET", json.dumps(container["env"]))
        text = (SERVERLESS / "knative/Containerfile").read_text()
        for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
            for name in line.split():
                self.assertTrue((SERVERLESS / name).exists(), name)
        self.assertIn("knative/main.py", text)

    def test_your_own_work_has_its_place(self):
        self.assertIn("    # Your own work on a picture goes here\n", (SERVERLESS / "handler.py").read_text())

    def test_the_example_in_the_readme_runs(self):
        text = (SERVERLESS / "README.md").read_text()
        [code] = re.findall(r"```python\n(def look.*?)```", text, re.DOTALL)
        names = {"Picture": Picture, "Any": Any}
        exec(code, names)  # noqa: S102
        key, body, meta = motion_picture()
        seen = names["look"](Picture("pictures", key, body, meta, facts(meta)))
        self.assertEqual((seen["night"], seen["box"]), (False, (136, 96, 16, 24)))

    def test_the_fixtures_say_which_are_recorded(self):
        text = (SERVERLESS / "tests/fixtures/README.md").read_text()
        for name, told in shapes().items():
            self.assertIn(f"| `{name}` | {told['origin']} |", text)


class Pipelines(unittest.TestCase):
    def scripts(self):
        [gitlab], [github] = load("pipeline/.gitlab-ci.yml"), load("pipeline/github-actions.yml")
        for name, job in gitlab.items():
            for part in ("before_script", "script") if isinstance(job, dict) else ():
                if part in job:
                    yield f"gitlab {name}", "\n".join(job[part])
        for name, job in github["jobs"].items():
            for step in job["steps"]:
                if "run" in step:
                    yield f"github {name}: {step.get('name')}", step["run"]

    def test_their_shell_passes_shellcheck(self):
        texts = dict(self.scripts())
        self.assertGreater(len(texts), 12)
        for name, text in texts.items():
            text = re.sub(r"\$\{\{.*?\}\}", "expression", text)
            self.assertEqual(subprocess.run(["bash", "-n"], input=text, text=True).returncode, 0, name)
            if shutil.which("shellcheck"):
                command = ["shellcheck", "--shell=bash", "--exclude=SC2086,SC2164,SC2103", "-"]
                told = subprocess.run(command, input=text, text=True, capture_output=True)
                self.assertEqual(told.returncode, 0, f"{name}\n{told.stdout}")

    def test_no_expression_of_github_stands_in_a_script(self):
        """There it would be pasted in as code; through `env` it is a value."""
        for name, text in self.scripts():
            self.assertNotIn("${{", text, name)

    def test_both_test_deploy_try_and_go_back(self):
        whole = {}
        for name, text in self.scripts():
            whole.setdefault(name.split()[0], []).append(text)
        for system, texts in whole.items():
            for said in ("python -m unittest", 'release "$TARGET" deploy', "smoke.py", 'release "$TARGET" rollback'):
                self.assertIn(said, "\n".join(texts), system)

    def release(self, *words, **env):
        command = [SERVERLESS / "pipeline/release", *words]
        # Its python3 is ours.
        path = f"{env.pop('TOOLS', '')}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        return subprocess.run(command, env={"PATH": path, **env}, capture_output=True, text=True)

    def test_a_release_says_what_it_lacks_and_does_nothing(self):
        for words, env, said in [
            ((), {}, "usage"), (("mainframe", "deploy", "1"), {}, "usage"),
            (("aws-lambda", "deploy", "1"), {}, "set STACK"), (("knative", "deploy", "1"), {}, "set IMAGE"),
            (("tencent-scf", "deploy", "1"), {"TENCENT_REGION": "x"}, "set COS_BUCKET"),
            (("knative", "rollback"), {}, "which version"), (("knative", "rollback", "a b"), {}, "which version"),
            (("knative", "destroy", "1"), {"IMAGE": "x"}, "deploy or rollback"),
        ]:
            told = self.release(*words, **env)
            self.assertEqual(told.returncode, 2, words)
            self.assertIn(said, told.stderr)

    def test_a_knative_release_moves_the_traffic_last_and_tells_what_was_before(self):
        """The commands that would go to the cluster, in their order."""
        with tempfile.TemporaryDirectory() as folder:
            status = {"status": {"traffic": [{"revisionName": "vedette-pictures-old", "percent": 100}]}}
            tools = {"kubectl": f"cat <<'END'\n{json.dumps(status)}\nEND\n", "kn": ""}
            for name, text in tools.items():
                tool = Path(folder) / name
                tool.write_text(f'#!/bin/sh\necho "{name} $*" >>{folder}/log\n{text}')
                tool.chmod(0o755)
            told = self.release("knative", "deploy", "new", TOOLS=folder, IMAGE="registry.example/p:new")
            self.assertEqual((told.returncode, told.stdout), (0, "vedette-pictures-old\n"), told.stderr)
            asked = [one for one in (Path(folder) / "log").read_text().splitlines() if one.startswith("kn ")]
            self.assertEqual(asked, [
                "kn service update vedette-pictures --image registry.example/p:new "
                "--revision-name vedette-pictures-new --traffic vedette-pictures-old=100",
                "kn service update vedette-pictures --traffic vedette-pictures-new=100",
            ])


class Smoke(unittest.TestCase):
    def smoke(self, bucket, seconds):
        seaweed, _ = servers()
        env = {"PATH": os.environ["PATH"], "BUCKET": bucket, "STORE": "s3", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, SERVERLESS / "pipeline/smoke.py", str(seconds)]
        return subprocess.run(command, env=env | seaweed.environment, capture_output=True, text=True)

    def test_it_passes_where_the_chain_works_and_fails_where_nobody_is_told(self):
        told = self.smoke("chain", 60)
        self.assertEqual(told.returncode, 0, told.stderr)
        line = json.loads(told.stdout.splitlines()[-1].removeprefix("smoke: "))
        self.assertEqual((line["facts"]["device"], line["look"]), ("smoke", {"width": 640, "height": 360}))
        told = self.smoke("pictures", 0.1)
        self.assertEqual(told.returncode, 1)
        self.assertIn("no result", told.stderr)


class Fixtures(unittest.TestCase):
    def test_the_recorded_pictures_are_whole(self):
        key, body, meta = motion_picture()
        self.assertEqual(hashlib.sha256(body).hexdigest(), meta["sha256"])
        self.assertIn(meta["sha256"][:16], key)
