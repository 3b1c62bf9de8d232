"""Whether a history of Paranoid keeps P2 and P4 to P7, judged by what clients saw alone.

What the events say is in README.md. The judge knows nothing of records, epochs or receipts, but two
relations that follow from the promises.

  B has seen A's state when
    B handed back the version that A was answered with, or
    A was answered before B was asked, by the same life of the same worker.
  A is before B when
    B has seen A's state, or B read what A wrote,
    or there is something between them for which this holds.

Who has seen a state has seen its writes, and what was read in it. A write that is before another one
has the lower version. So a read may give any write of its key that is not before another one which
the reader has seen. (That somebody wrote the cause before the effect does not bring the cause to who
read the effect: the promise is about states, not about causes.) What nobody has put is never read;
what is unknown may have happened or not, but not both.
"""
import collections
import json

import history
import linearizable

_CHANGES = ("put", "delete")
_READS = ("get", "final")
_LAST = ("final", "final-list")  # reads after all faults have ended, at each worker
_LOCKED = {"add": "counter", "cas": "register"}


class Broken(Exception):
    """A promise that was not kept."""

    def __init__(self, promise, sentence, *operations):
        super().__init__("\n  ".join([f"{promise}: {sentence}", *map(str, operations)]))
        self.promise = promise


# ---- what clients are told besides values ----

def _version(text):
    """X-Paranoid-Version as (term, epoch, {writer: sequence})."""
    capsule, term, epoch, *heads = text.split(".")
    return int(term), int(epoch), {writer: int(sequence) for writer, sequence, *_ in
                                   (head.split("-") for head in heads)}


def _covers(version, earlier):
    """A branch that a joined epoch covers is not named: then a later epoch answers for it."""
    term, epoch, heads = _version(version)
    earlier_term, earlier_epoch, earlier_heads = _version(earlier)
    if (term, epoch) < (earlier_term, earlier_epoch) or epoch < earlier_epoch:
        return False
    return all(heads[writer] >= sequence if writer in heads else epoch > earlier_epoch
               for writer, sequence in earlier_heads.items())


def _rank(etag):
    """The version of a key's value: (Lamport time, writer)."""
    lamport, writer = etag.strip('"').split("-")
    return int(lamport), writer


# ---- what is known ----

class _State:
    """What somebody has seen, and what is before it: for each key the latest changes.

    Changes before a latest one are known with it, and need not be named: a state grows with the
    keys, not with the history."""

    def __init__(self):
        self.seen = {}
        self.before = {}


class _Judge:
    def __init__(self, operations):
        self.operations = operations
        self.state = {}           # of each operation that is not answered yet
        self.put_before = {}      # put that somebody reads: what is before it
        self.told_with = {}       # version: the state of whoever is told it
        self.worker_state = {}    # worker's life: what it has answered from
        self.put_of = {}          # (key, value): the put
        self.changes = {}         # key: its changes that were not refused, as they were asked
        self.number = {}          # of each of those: its place there
        self.missing = {}         # of each, as bits: the change so many and one places earlier is
                                  # not before it. Short numbers: mostly it is a late one
        self.deletes = {}         # key: deletes
        self.rank = {}            # put: the version it is first seen with
        self.was_read = set()     # puts that somebody is told of
        self.asked_after = collections.Counter()  # version: how often it will yet be handed back
        self._look_ahead()

    def _look_ahead(self):
        for operation in self.operations:
            after = operation.asked.get("after")
            if after is not None:
                self.asked_after[after] += 1
            if operation.f == "put" and self.put_of.setdefault(
                    (operation.key, operation.value), operation) is not operation:
                raise history.Malformed(f"{operation}: this value was put before")
        for operation in self.operations:
            if operation.f in _READS and operation.outcome == history.OK:
                put = self.put_of.get((operation.key, operation.result))
                self.was_read.add(put)
                if "etag" in operation.told:  # a function does not say
                    self.rank.setdefault(put, _rank(operation.told["etag"]))

    def _is_before(self, first, second):
        """Of two changes of one key."""
        distance = self.number[second] - self.number[first]
        return distance > 0 and self.missing[second] >> (distance - 1) & 1 == 0

    def _number(self, change, latest):
        """What is before a change is what is before the latest ones before it, and those."""
        changes = self.changes.setdefault(change.key, [])
        self.number[change] = len(changes)
        missing = (1 << len(changes)) - 1
        for other in latest:
            distance = len(changes) - self.number[other]
            missing &= self.missing[other] << distance | (1 << (distance - 1)) - 1
        self.missing[change] = missing
        changes.append(change)

    def _is_outdone(self, change, other):
        """A later change says no less. But only one whose version is known stands for versions."""
        return self._is_before(change, other) and (change not in self.rank or other in self.rank)

    def _latest(self, changes, others):
        """Of two such sets."""
        kept = [change for change in changes if change in others or not any(
            self._is_outdone(change, other) for other in others)]
        if len(kept) == 0:
            return others
        return frozenset(kept).union([other for other in others if not any(
            self._is_outdone(other, change) for change in kept)])

    def _merge(self, known, others):
        for key, changes in others.items():
            mine = known.get(key, changes)
            known[key] = mine if changes <= mine else self._latest(changes, mine)

    def _add(self, known, key, change):
        self._merge(known, {key: frozenset([change])})

    def _merge_state(self, state, other):
        self._merge(state.seen, other.seen)
        self._merge(state.before, other.before)

    def _invoke(self, operation):
        after, key = operation.asked.get("after"), operation.key
        state = self.state[operation] = _State()
        for known in (self.worker_state.get(operation.told.get("worker")),
                      self.told_with.get(after)):
            if known is not None:
                self._merge_state(state, known)
        if after is not None:
            self.asked_after[after] -= 1
            if self.asked_after[after] == 0:
                self.told_with.pop(after, None)
        if operation.f in _CHANGES and operation.outcome != history.FAIL:
            self._number(operation, state.before.get(key, ()))
            if operation.f == "delete":
                self.deletes.setdefault(key, []).append(operation)
        if operation in self.was_read:
            self.put_before[operation] = dict(state.before)

    def _read(self, operation):
        """The write that was read, None for none."""
        if operation.result is None:
            return None
        put = self.put_of.get((operation.key, operation.result))
        if put is None or put.invoked > operation.returned:
            raise Broken("P2", "what was read nobody had put", operation)
        if put.outcome == history.FAIL:
            raise Broken("P2", "what was read had been refused", operation, put)
        return put

    def _judge_read(self, promise, operation, put, known):
        """`known`: changes that must be there, or something that is not before them."""
        known = sorted(known, key=lambda change: change.invoked)
        if put is None:
            # The latest delete explains it, if any does and nothing is wrong.
            explained = all(change.f == "delete" for change in known) or any(
                not any(change.f == "put" and self._is_before(delete, change) for change in known)
                for delete in reversed(self.deletes.get(operation.key, [])))
            if not explained:
                lost = next(change for change in known if change.f == "put")
                raise Broken(promise, "a write is not there, and nobody can have deleted it",
                             operation, lost)
            return
        for change in known:
            if self._is_before(put, change):
                raise Broken(promise, "what was read had been overwritten before", operation,
                             change)
            if put in self.rank and change in self.rank and self.rank[put] < self.rank[change]:
                raise Broken(promise, "what was read has a lower version than what was known",
                             operation, change)

    def _judge_rank(self, operation, put):
        if "etag" not in operation.told:
            return
        rank = _rank(operation.told["etag"])
        if self.rank[put] != rank:
            raise Broken("P5", "one write was read with two versions", operation, put)
        for change in self.put_before[put].get(operation.key, ()):
            if change in self.rank and self.rank[change] >= rank:
                raise Broken("P5", "a later write has no higher version", put, change)

    def _answer(self, operation):
        state, key = self.state.pop(operation), operation.key
        after, version = operation.asked.get("after"), operation.told.get("version")
        if after is not None and version is not None and not _covers(version, after):
            raise Broken("P6", f"the version went back from {after} to {version}", operation)
        if operation.f in _READS:
            put = self._read(operation)
            if put is not None:
                self._judge_rank(operation, put)
            self._judge_read("P6", operation, put, state.seen.get(key, ()))
            if put is not None:
                self._add(state.seen, key, put)  # without what was before it
                self._merge(state.before, self.put_before[put])
                self._add(state.before, key, put)
        if operation in self.number:
            self._add(state.seen, key, operation)
            self._add(state.before, key, operation)
        if self.asked_after[version] > 0:
            self._merge_state(self.told_with.setdefault(version, _State()), state)
        worker = operation.told.get("worker")
        if worker is not None:
            self._merge_state(self.worker_state.setdefault(worker, _State()), state)

    def run(self):
        events = [(operation.invoked, self._invoke, operation) for operation in self.operations]
        events += [(operation.returned, self._answer, operation) for operation in self.operations
                   if operation.outcome == history.OK]
        for _, step, operation in sorted(events, key=lambda event: event[0]):
            step(operation)

    def judge_end(self, finals):
        """P5: all workers give the same at the end. P4: it is what was answered, or later."""
        for key, reads in finals.items():
            for read in reads[1:]:
                if (read.result, read.told.get("etag")) != \
                        (reads[0].result, reads[0].told.get("etag")):
                    raise Broken("P5", "two workers differ at the end", reads[0], read)
            # What was answered, or read by somebody who was answered, is there.
            kept = [change for change in self.changes.get(key, ())
                    if change.outcome == history.OK or change in self.was_read]
            self._judge_read("P4", reads[0], self._read(reads[0]), kept)
        for key in self.changes:
            if key not in finals:
                raise history.Malformed(f"nobody says what became of {key}")


def _judge_lists(lists, finals):
    expected = {key for key, reads in finals.items() if reads[0].result is not None}
    for operation in lists:
        listed = operation.result
        if len(listed) != len(set(listed)) or listed != sorted(listed):
            raise Broken("P5", "a list is not in order", operation)
        differing = expected.symmetric_difference(listed)
        if differing:
            raise Broken("P5", f"a list at the end differs in {min(differing)}", operation)


def _as_modelled(operation):
    """A last read reads; a swap says what it found when it has found it, and else only writes."""
    f, value, result = operation.f, operation.value, operation.result
    if f == "final":
        f, result = "read", None if result is None else json.loads(result)
    elif f == "cas" and operation.outcome == history.OK:
        value = tuple(result)
    elif f == "cas":
        f = "write"
    return history.Operation(operation.process, f, operation.key, value, result,
                             operation.outcome, operation.invoked, operation.returned,
                             operation.asked, operation.told)


def _judge_locked(operations, deadline):
    """P7: as if one after the other, and nothing is lost."""
    for f, model in _LOCKED.items():
        keys = {operation.key for operation in operations if operation.f == f}
        mine = [_as_modelled(operation) for operation in operations
                if operation.key in keys and operation.f != "final-list"]
        stuck = linearizable.check(mine, model, deadline)
        if stuck is not None:
            raise Broken("P7", f"no order of the {model}'s operations explains this", stuck)


def check(operations, deadline=None):
    """Raises Broken for the first promise that was not kept."""
    locked_keys = {operation.key for operation in operations if operation.f in _LOCKED}
    finals = {}
    for operation in operations:
        if operation.f == "final" and operation.outcome == history.OK:
            finals.setdefault(operation.key, []).append(operation)
    lists = [operation for operation in operations
             if operation.f == "final-list" and operation.outcome == history.OK]
    free = [operation for operation in operations
            if operation.f not in _LAST or operation.key not in locked_keys]
    judge = _Judge(free)
    judge.run()
    judge.judge_end({key: reads for key, reads in finals.items() if key not in locked_keys})
    _judge_lists(lists, finals)
    _judge_locked(operations, deadline)
