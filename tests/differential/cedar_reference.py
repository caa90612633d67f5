"""Decides requests with cedarpy, which wraps Cedar's own evaluator: cases as JSON on stdin, answers on stdout."""

import json
import sys

import cedarpy


def decide(case):
    answers = []
    for request in case["requests"]:
        entities = request.pop("entities")
        result = cedarpy.is_authorized(request, case["policies"], entities)
        answers.append(result.decision == cedarpy.Decision.Allow)
    return answers


json.dump([decide(case) for case in json.load(sys.stdin)], sys.stdout)
