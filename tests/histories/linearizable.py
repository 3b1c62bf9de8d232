"""Whether a history is linearizable: whether its operations, each at one instant between its
invocation and its answer, make a sequence that its model allows.

The search is that of Wing and Gong, with the memory of Lowe: take any operation that was invoked
before the first answer still outstanding, step the model, and go on; back when none fits; never
twice through the same set of taken operations with the same state.

An operation whose outcome is unknown need not be taken at all, and is tried only when no other fits.
Of those that ask for the same thing the earliest invoked is taken first: no later one could do what
it cannot.
"""
import time

import history

# A model: the state before anything happened, and a step. A step gives the state after the operation,
# or IMPOSSIBLE. `value` is what was asked, `result` what was told; `is_known` says that the latter
# is there.
IMPOSSIBLE = object()


def register(state, f, value, result, is_known):
    """read, write and cas of one value."""
    if f == "read":
        return state if not is_known or result == state else IMPOSSIBLE
    if f == "write":
        return value
    if f == "cas":
        return value[1] if value[0] == state else IMPOSSIBLE
    return IMPOSSIBLE


def mutex(state, f, value, result, is_known):
    """acquire and release; the state is whether it is held."""
    return {("acquire", False): True, ("release", True): False}.get((f, state), IMPOSSIBLE)


def text(state, f, value, result, is_known):
    """put, append and get of a text."""
    if f == "get":
        return state if not is_known or result == state else IMPOSSIBLE
    return {"put": value, "append": state + str(value)}.get(f, IMPOSSIBLE)


def counter(state, f, value, result, is_known):
    """add, which tells the sum; and read."""
    after = state + value if f == "add" else state
    return after if not is_known or result == after else IMPOSSIBLE


MODELS = {"register": (register, None), "mutex": (mutex, False), "text": (text, ""),
          "counter": (counter, 0)}
STEPS_FIRST = 10000
_ASK_ONLY = {"read", "get"}  # which change nothing, so that unknown ones say nothing


def _relevant(operations, model):
    for operation in operations:
        if operation.outcome == history.OK:
            yield operation
        elif operation.outcome == history.INFO and operation.f not in _ASK_ONLY:
            yield operation
        elif operation.f == "cas" and operation.outcome == history.FAIL and \
                operation.told.get("value") == operation.value:
            yield operation  # it was judged, and found another value


class _Search:
    """Operations by number; the ones not yet taken are a doubly linked list of their events."""

    def __init__(self, operations, step, state):
        self.operations = operations
        self.step = step
        self.state = state
        events = sorted([(operation.invoked, number, False)
                         for number, operation in enumerate(operations)] +
                        [(operation.returned, number, True)
                         for number, operation in enumerate(operations)
                         if operation.outcome != history.INFO])
        count = len(events)
        self.number = [-1] + [event[1] for event in events]
        self.is_answer = [False] + [event[2] for event in events]
        self.next = list(range(1, count + 1)) + [0]
        self.before = [count] + list(range(count))
        self.call_place, self.answer_place = {}, {}
        for place in range(1, count + 1):
            (self.answer_place if self.is_answer[place] else self.call_place)[
                self.number[place]] = place
        # Unknown operations that ask for the same: each but the first waits for the one before.
        self.waits_for, last = {}, {}
        for number, operation in enumerate(operations):
            if operation.outcome == history.INFO:
                same = (operation.f, repr(operation.value))
                self.waits_for[number] = last.get(same)
                last[same] = number
        self.answers_left = len(self.answer_place)
        # Where the search stands.
        self.place, self.tries_unknown = self.next[0], False
        self.taken, self.path, self.seen = 0, [], set()
        self.stuck, self.longest = None, -1

    def _unlink(self, place):
        self.next[self.before[place]] = self.next[place]
        self.before[self.next[place]] = self.before[place]

    def _relink(self, place):
        self.next[self.before[place]] = place
        self.before[self.next[place]] = place

    def _take(self, number):
        self._unlink(self.call_place[number])
        if number in self.answer_place:
            self._unlink(self.answer_place[number])
            self.answers_left -= 1

    def _put_back(self, number):
        if number in self.answer_place:
            self._relink(self.answer_place[number])
            self.answers_left += 1
        self._relink(self.call_place[number])

    def _stepped(self, number):
        operation = self.operations[number]
        if operation.outcome == history.FAIL:  # a cas that found another value
            return IMPOSSIBLE if operation.value[0] == self.state else self.state
        return self.step(self.state, operation.f, operation.value, operation.result,
                         operation.outcome == history.OK)

    def _is_unknown(self, number):
        return self.operations[number].outcome == history.INFO

    def _is_in_vain(self, number):
        """A write right after an unknown one: that need not have been taken."""
        before = self.operations[self.path[-1][0]] if self.path != [] else None
        return before is not None and before.outcome == history.INFO and \
            before.f == "write" and self.operations[number].f == "write"

    def _can_take(self, number):
        """Steps the model, unless this has been tried."""
        waits_for = self.waits_for.get(number)
        if waits_for is not None and self.taken >> waits_for & 1 == 0:
            return False
        if self._is_in_vain(number):
            return False
        state = self._stepped(number)
        configuration = (self.taken | 1 << number, state)
        if state is IMPOSSIBLE or configuration in self.seen:
            return False
        self.seen.add(configuration)
        self.path.append((number, self.state))
        self.taken, self.state = configuration
        return True

    def advance(self, steps):
        """Go on searching: True, linearizable; False, not, because of self.stuck; None, not yet."""
        while self.answers_left > 0 and steps > 0:
            steps -= 1
            number = self.number[self.place]
            if not self.is_answer[self.place]:
                if self._is_unknown(number) == self.tries_unknown and self._can_take(number):
                    self._take(number)
                    self.place, self.tries_unknown = self.next[0], False
                else:
                    self.place = self.next[self.place]
                continue
            if not self.tries_unknown:
                self.place, self.tries_unknown = self.next[0], True
                continue
            # An answer to what could not be taken: something taken before was wrong.
            if len(self.path) > self.longest:
                self.stuck, self.longest = self.operations[number], len(self.path)
            if self.path == []:
                return False
            number, self.state = self.path.pop()
            self.taken &= ~(1 << number)
            self._put_back(number)
            self.tries_unknown = self._is_unknown(number)
            self.place = self.next[self.call_place[number]]
        return True if self.answers_left == 0 else None


def check(operations, model, deadline=None):
    """None, or the operation that the longest attempt could not explain. Keys are apart, and take
    turns: one that is easily refused answers for those that are not. TimeoutError: `deadline`, of
    time.monotonic(), has passed."""
    step, state = MODELS[model]
    by_key = {}
    for operation in _relevant(operations, model):
        by_key.setdefault(operation.key, []).append(operation)
    searches, steps = [_Search(by_key[key], step, state) for key in by_key], STEPS_FIRST
    while searches != []:
        undecided = []
        for search in searches:
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError
            verdict = search.advance(steps)
            if verdict is False:
                return search.stuck
            if verdict is None:
                undecided.append(search)
        searches, steps = undecided, 2 * steps
    return None
