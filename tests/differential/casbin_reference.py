"""Decides requests with the Python implementation of Casbin: cases as JSON on stdin, answers on stdout."""

import json
import logging
import os
import sys
import tempfile

import casbin

logging.disable(logging.CRITICAL)


def decide(case):
    with tempfile.TemporaryDirectory() as folder:
        model, policy = os.path.join(folder, "model.conf"), os.path.join(folder, "policy.csv")
        for path, text in ((model, case["model"]), (policy, case["policy"])):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        enforcer = casbin.Enforcer(model, policy)
        return [bool(enforcer.enforce(*request)) for request in case["requests"]]


json.dump([decide(case) for case in json.load(sys.stdin)], sys.stdout)
