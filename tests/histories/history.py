"""Histories: what clients asked and were told, and when.

read(path) gives the operations of a file, in the order of their invocations. Formats, by what the
file looks like:

  EDN or JSON maps    {:process 0, :type :invoke, :f :read, :value nil}, one list or one per line
  Jepsen's log        INFO  jepsen.util - 0	:invoke	:write	4

An operation begins with an event of type invoke and ends with the next event of its process: ok (it
happened, and this is its result), fail (it did not happen) or info (nobody knows). One that has no
end is unknown too, and may take effect at any time after its invocation, or never.
"""
import dataclasses
import json
import pathlib
import re

OK, FAIL, INFO = "ok", "fail", "info"
NEVER = float("inf")


class Malformed(Exception):
    """The file is no history."""


@dataclasses.dataclass(eq=False)
class Operation:
    process: object
    f: str
    key: object
    value: object       # what was asked for
    result: object      # what was told, if it is ok
    outcome: str        # OK, FAIL, INFO
    invoked: int        # places in the history: smaller is earlier
    returned: float     # NEVER: unknown
    asked: dict         # the two events, whole
    told: dict

    def __str__(self):
        is_read = self.f not in ("put", "delete")
        told = f"{self.result!r}" if self.outcome == OK and is_read else self.outcome
        key = "" if self.key is None else f" {self.key}"
        value = "" if self.value is None else f" {self.value!r}"
        return f"event {self.invoked}: process {self.process}: {self.f}{key}{value} -> {told}"


# ---- EDN, as much of it as histories use ----

_EDN = re.compile(r'[\s,]+|;[^\n]*|(?P<token>[\[\](){}]|"(?:\\.|[^"\\])*"|[^\s,;\[\](){}"]+)')
_EDN_WORDS = {"nil": None, "true": True, "false": False}


def _edn_tokens(text):
    at = 0
    while at < len(text):
        match = _EDN.match(text, at)
        if match is None:
            raise Malformed(f"no EDN at character {at}")
        if match["token"] is not None:
            yield match["token"]
        at = match.end()


def _edn_atom(token):
    if token[0] == '"':
        return json.loads(token)
    if token[0] == ":":
        return token[1:]
    if token in _EDN_WORDS:
        return _EDN_WORDS[token]
    try:
        return int(token)
    except ValueError:
        return token


def _edn_value(tokens, token):
    closing = {"[": "]", "(": ")", "{": "}"}.get(token)
    if closing is None:
        return _edn_atom(token)
    items = []
    for inner in tokens:
        if inner == closing:
            return dict(zip(items[::2], items[1::2])) if token == "{" else items
        items.append(_edn_value(tokens, inner))
    raise Malformed("EDN ends too early")


def _edn(text):
    tokens = _edn_tokens(text)
    values = [_edn_value(tokens, token) for token in tokens]
    return values[0] if len(values) == 1 and isinstance(values[0], list) else values


# ---- events ----

_JEPSEN = re.compile(r"INFO\s+jepsen\.util - (\S+)\t:(\w+)\t:(\w+)\t(.*)")


def _jepsen(lines):
    for line in lines:
        match = _JEPSEN.match(line)
        if match is not None:
            values = _edn(match[4])
            value = values[0] if len(values) == 1 else values
            yield {"process": match[1], "type": match[2], "f": match[3], "value": value}


def _events(text):
    try:
        if text.startswith("INFO"):
            return list(_jepsen(text.splitlines()))
        if text.startswith('{"'):
            return [json.loads(line) for line in text.splitlines() if line.strip() != ""]
        if text.startswith('[{"'):
            return json.loads(text)
        return _edn(text)
    except ValueError as error:
        raise Malformed(str(error)) from error


def operations(events):
    found, open_by_process = [], {}
    for place, event in enumerate(events):
        if not isinstance(event, dict) or not {"process", "type"} <= event.keys():
            raise Malformed(f"event {place} has no process or no type")
        process, kind = event["process"], event["type"]
        if kind == "invoke":
            if process in open_by_process:
                raise Malformed(f"event {place}: process {process} asks for two things at once")
            operation = Operation(process, event["f"], event.get("key"), event.get("value"), None,
                                  INFO, place, NEVER, event, {})
            open_by_process[process] = operation
            found.append(operation)
        elif kind in (OK, FAIL, INFO):
            operation = open_by_process.pop(process, None)
            if operation is None:
                if kind == INFO:
                    continue  # talk of a nemesis
                raise Malformed(f"event {place}: process {process} is told what it never asked")
            operation.outcome, operation.told = kind, event
            if kind != INFO:
                operation.result, operation.returned = event.get("value"), place
        else:
            raise Malformed(f"event {place} has the type {kind!r}")
    return found


def read(path):
    return operations(_events(pathlib.Path(path).read_text().lstrip()))
