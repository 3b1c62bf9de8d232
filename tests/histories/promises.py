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
import bisect
import json

import history
import linearizable

_CHANGES = ("put", "delete")
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
    return int(term), int(epoch), {writer: int(sequence) for writer, sequence in
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


# ---- for each chain how many of its operations ----

def _add(counts, other):
    for chain, count in other.items():
        if counts.get(chain, 0) < count:
            counts[chain] = count


class _State:
    """What somebody has seen, and what is before it."""

    def __init__(self):
        self.seen = {}    # by chain
        self.read = {}    # key: puts that were read, each without what was before it
        self.before = {}  # by chain

    def merge(self, other):
        _add(self.seen, other.seen)
        _add(self.before, other.before)
        for key, puts in other.read.items():
            self.read[key] = self.read.get(key, frozenset()) | puts


class _Judge:
    def __init__(self, operations):
        self.operations = operations
        self.state = {}           # of each operation; after its answer with what it read
        self.place = {}           # of each change: (chain, number), numbers from 1
        self.told_with = {}       # version: the state of whoever is told it
        self.worker_state = {}    # worker's life: what it has answered from
        self.chain_end = {}       # process: (chain, version it ends with)
        self.chain_length = {}
        self.put_of = {}          # (key, value): the put
        self.changes = {}         # key: {chain: [numbers], [operations]}, in order
        self.deletes = {}         # key: deletes
        self.rank = {}            # put: the version it was seen with
        self.was_read = set()     # puts that somebody was told of

    def _invoke(self, operation):
        after = operation.asked.get("after")
        state = self.state[operation] = _State()
        for known in (self.told_with.get(after), self.worker_state.get(
                operation.told.get("worker"))):
            if known is not None:
                state.merge(known)
        # A process is one chain for as long as each question hands back the answer before.
        chain, version = self.chain_end.get(operation.process, (None, None))
        if chain is None or after is None or after != version:
            chain = (operation.process, operation.invoked)
        self.chain_end[operation.process] = (chain, operation.told.get("version"))
        if operation.f in _CHANGES and operation.outcome != history.FAIL:
            number = self.chain_length[chain] = self.chain_length.get(chain, 0) + 1
            self.place[operation] = (chain, number)
            numbers, changes = self.changes.setdefault(operation.key, {}).setdefault(
                chain, ([], []))
            numbers.append(number)
            changes.append(operation)
        if operation.f == "put":
            if (operation.key, operation.value) in self.put_of:
                raise history.Malformed(f"{operation}: this value was put before")
            self.put_of[operation.key, operation.value] = operation
        elif operation.f == "delete" and operation.outcome != history.FAIL:
            self.deletes.setdefault(operation.key, []).append(operation)

    def _is_before(self, first, second):
        chain, number = self.place[first]
        return first is not second and self.state[second].before.get(chain, 0) >= number

    def _last_changes(self, key, counts):
        """Of each chain the last change of the key among the first of its operations."""
        for chain, (numbers, changes) in self.changes.get(key, {}).items():
            count = bisect.bisect_right(numbers, counts.get(chain, 0))
            if count > 0:
                yield changes[count - 1]

    def _read(self, operation):
        """The write that was read, None for none."""
        if operation.result is None:
            return None
        put = self.put_of.get((operation.key, operation.result))
        if put is None:
            raise Broken("P2", "what was read nobody had put", operation)
        if put.outcome == history.FAIL:
            raise Broken("P2", "what was read had been refused", operation, put)
        return put

    def _judge_read(self, promise, operation, put, known):
        """`known`: changes that must be there, or something that is not before them."""
        if put is None:
            known = list(known)
            explained = all(change.f == "delete" for change in known) or any(
                not any(change.f == "put" and self._is_before(delete, change) for change in known)
                for delete in self.deletes.get(operation.key, []))
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

    def _note_rank(self, operation, put):
        if "etag" not in operation.told:
            return  # a function does not say
        rank = _rank(operation.told["etag"])
        if self.rank.setdefault(put, rank) != rank:
            raise Broken("P5", "one write was read with two versions", operation, put)
        for change in self._last_changes(operation.key, self.state[put].before):
            if change in self.rank and self.rank[change] >= rank:
                raise Broken("P5", "a later write has no higher version", put, change)

    def _answer(self, operation):
        state, key = self.state[operation], operation.key
        after, version = operation.asked.get("after"), operation.told.get("version")
        if after is not None and version is not None and not _covers(version, after):
            raise Broken("P6", f"the version went back from {after} to {version}", operation)
        if operation.f in ("get", "final"):
            put = self._read(operation)
            if put is not None:
                self._note_rank(operation, put)
                self.was_read.add(put)
            self._judge_read("P6", operation, put, [*self._last_changes(key, state.seen),
                                                    *state.read.get(key, ())])
            if put is not None:
                # Of what was read before the rest is before this one, or still worth knowing.
                others = {other for other in state.read.get(key, ())
                          if not self._is_before(other, put)}
                state.read[key] = frozenset(others | {put})
                _add(state.before, self.state[put].before)
                _add(state.before, dict([self.place[put]]))
        told = _State()
        told.merge(state)
        if operation in self.place:
            _add(told.seen, dict([self.place[operation]]))
            _add(told.before, dict([self.place[operation]]))
        if version is not None:
            self.told_with.setdefault(version, _State()).merge(told)
        if operation.told.get("worker") is not None:
            self.worker_state.setdefault(operation.told["worker"], _State()).merge(told)

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
            kept = [change for _, changes in self.changes.get(key, {}).values()
                    for change in changes
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
