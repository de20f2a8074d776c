"""The merge loop of byte pair encoding over flat arrays, in 64 bits.

The rules are those of Hugging Face ``tokenizers`` ``models/bpe/trainer.rs``, read from the source,
but for the counts, which have 32 bits there (issue 2058):

1. Ids: special tokens in the order given, then the alphabet by code point.
2. Every adjacent pair counts, overlapping ones too: ``aaa`` holds (a, a) twice.
3. A heap of (count, pair, positions): the largest count first, then the smallest pair of ids.
4. A popped entry whose count is not the pair's is put back with it. Below one or
   ``min_frequency``: the end.
5. The new token is the string of both. If there is such a token its id serves again, and the merge
   is written all the same. The end is a number of tokens, not of merges.
6. Only the words at the entry's own positions are merged, left to right. Neighbours' pairs lose and
   win; the merged pair's own count stays as it is.
7. After all words one entry for each pair that won, with its new positions only.
8. A pair may therefore be merged twice; in the model its later rank holds.

Without a prefix a string is formed by one pair only (what lies between two bounds of a word is cut
as it would be alone), so no pair wins again after it entered. What is rarer than ``min_frequency``
by then, two thirds of all pairs of a text, is therefore not kept at all.
"""

from __future__ import annotations

import numpy as np

from corpusforge.kernels.jit import inlined, kernel
from corpusforge.kernels.pretokens import wide

_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio
_WORD, _NEXT = 0, 1  # columns of a node of a list of positions
_KEY, _COUNT, _HEAD = 0, 1, 2  # columns of the table of pairs
_LOW = (1 << 32) - 1


@inlined
def _slot(pairs: np.ndarray, key: int) -> int:
    """Row of ``key`` in the open addressing table ``pairs`` (2**n, 3), or the free row for it."""
    last = len(pairs) - 1
    slot = wide(np.uint64(key) * _MIX >> np.uint64(24)) & last
    while pairs[slot, _KEY] != key and pairs[slot, _KEY] >= 0:
        slot = (slot + 1) & last
    return slot


@inlined
def _add(pairs: np.ndarray, key: int, change: int) -> int:
    """Add ``change`` to a pair's count; return 1 if the pair is new in the table."""
    slot = _slot(pairs, key)
    new = pairs[slot, _KEY] < 0
    pairs[slot, _KEY] = key
    pairs[slot, _COUNT] += change
    return 1 if new else 0


@inlined
def _lose(pairs: np.ndarray, key: int, change: int) -> None:
    """Take ``change`` from the count of a pair if the table has it."""
    slot = _slot(pairs, key)
    if pairs[slot, _KEY] == key:
        pairs[slot, _COUNT] -= change


@kernel
def _table(old: np.ndarray, size: int) -> np.ndarray:
    """The pairs of ``old`` in a table of ``size`` rows."""
    pairs = np.zeros((size, 3), dtype=np.int64)
    pairs[:, _KEY] = -1
    pairs[:, _HEAD] = -1
    for row in range(len(old)):
        if old[row, _KEY] >= 0:
            slot = _slot(pairs, old[row, _KEY])
            for column in range(3):
                pairs[slot, column] = old[row, column]
    return pairs


@inlined
def _before(heap: np.ndarray, one: int, two: int) -> bool:
    """Whether entry ``one`` (count, key, head) comes out before entry ``two``."""
    if heap[one, 0] != heap[two, 0]:
        return bool(heap[one, 0] > heap[two, 0])
    return bool(heap[one, 1] < heap[two, 1])


@inlined
def _swap(heap: np.ndarray, one: int, two: int) -> None:
    for column in range(3):
        heap[one, column], heap[two, column] = heap[two, column], heap[one, column]


@inlined
def _down(heap: np.ndarray, used: int) -> None:
    """Sink the first entry of a 4-ary heap to its place."""
    place = 0
    while True:
        best = place
        for child in range(4 * place + 1, min(4 * place + 5, used)):
            if _before(heap, child, best):
                best = child
        if best == place:
            return
        _swap(heap, place, best)
        place = best


@inlined
def _push(heap: np.ndarray, used: int, count: int, key: int, head: int) -> None:
    """Put an entry behind the ``used`` ones of a 4-ary heap and lift it to its place."""
    heap[used, 0], heap[used, 1], heap[used, 2] = count, key, head
    place = used
    while place > 0 and _before(heap, place, (place - 1) >> 2):
        _swap(heap, place, (place - 1) >> 2)
        place = (place - 1) >> 2


@inlined
def _known(strings: np.ndarray, points: np.ndarray, bounds: np.ndarray, token: int) -> int:
    """Slot of ``strings`` (open addressing) that holds or shall hold the string of ``token``."""
    start, length = bounds[token], bounds[token + 1] - bounds[token]
    value = np.uint64(length)
    for index in range(length):
        value = (value ^ np.uint64(points[start + index])) * _MIX
        value ^= value >> np.uint64(29)
    slot = wide(value >> np.uint64(24)) & (len(strings) - 1)
    while strings[slot] >= 0:
        other = strings[slot]
        if bounds[other + 1] - bounds[other] == length:
            index = 0
            while index < length and points[bounds[other] + index] == points[start + index]:
                index += 1
            if index == length:
                return slot
        slot = (slot + 1) & (len(strings) - 1)
    return slot


@inlined
def _note(nodes: np.ndarray, free: np.ndarray, head: int, word: int) -> int:
    """Put ``word`` before the list ``head`` unless it is its first; return the new head.

    ``free`` holds the list of nodes to use again and the number of nodes ever used.
    """
    if head >= 0 and nodes[head, _WORD] == word:
        return head
    node = wide(free[0])
    if node >= 0:
        free[0] = nodes[node, _NEXT]
    else:
        node = free[1]
        free[1] += 1
    nodes[node, _WORD], nodes[node, _NEXT] = word, head
    return node


@kernel
def _longer(rows: np.ndarray, used: int, length: int) -> np.ndarray:
    """Give ``used`` of ``rows`` more room, and touch no more of it."""
    longer = np.empty((length, rows.shape[1]), dtype=rows.dtype)
    for row in range(used):
        for column in range(rows.shape[1]):
            longer[row, column] = rows[row, column]
    return longer


@kernel
def _count_pairs(
    symbols: np.ndarray, offsets: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, int]:
    """Table of the pairs of all words, and the number of pairs."""
    pairs = _table(np.zeros((0, 3), dtype=np.int64), 1 << 16)
    used = 0
    for word in range(len(counts)):
        while 2 * (used + offsets[word + 1] - offsets[word]) > len(pairs):
            pairs = _table(pairs, 2 * len(pairs))
        for place in range(offsets[word], offsets[word + 1] - 1):
            key = wide(symbols[place]) << 32 | wide(symbols[place + 1])
            used += _add(pairs, key, counts[word])
    return pairs, used


@kernel
def _note_all(
    symbols: np.ndarray,
    offsets: np.ndarray,
    pairs: np.ndarray,
    least: int,
    nodes: np.ndarray,
    free: np.ndarray,
) -> None:
    """Give every pair that occurs ``least`` times the list of its words."""
    for word in range(len(offsets) - 1):
        for place in range(offsets[word], offsets[word + 1] - 1):
            slot = _slot(pairs, wide(symbols[place]) << 32 | wide(symbols[place + 1]))
            if pairs[slot, _COUNT] >= least:
                pairs[slot, _HEAD] = _note(nodes, free, pairs[slot, _HEAD], word)


@kernel
def merge_words(
    symbols: np.ndarray,
    offsets: np.ndarray,
    counts: np.ndarray,
    points: np.ndarray,
    bounds: np.ndarray,
    prefix: np.ndarray,
    vocab_size: int,
    least: int,
    longest: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Merge the words of ``symbols`` (n,) int32, cut by ``offsets`` (words + 1,), in place.

    ``counts`` (words,) int64. ``points`` int32 and ``bounds`` int64 are the code points of the
    tokens known so far; ``prefix`` (code points) is taken off the right half of a new token.
    ``least`` is the count of a pair below which it is not merged, at least 1; ``longest`` the most
    symbols that a token may stand for.
    Returns pairs of ids (merges, 2) int64 by rank, and the points and bounds of all tokens.
    """
    nodes = np.empty((2 * len(symbols) + 64, 2), dtype=np.int32)  # what is not used costs nothing
    free = np.array([-1, 0], dtype=np.int64)
    keep_all = len(prefix) > 0
    pairs, used = _count_pairs(symbols, offsets, counts)
    _note_all(symbols, offsets, pairs, 1 if keep_all else least, nodes, free)
    lengths = offsets[1:] - offsets[:-1]

    heap = np.empty((used + len(symbols) // 4 + 64, 3), dtype=np.int64)
    waiting = 0
    for row in range(len(pairs)):
        if pairs[row, _HEAD] >= 0:
            _push(heap, waiting, pairs[row, _COUNT], pairs[row, _KEY], pairs[row, _HEAD])
            waiting += 1

    tokens = len(bounds) - 1
    most = max(tokens, vocab_size) + 1
    bounds = np.concatenate((bounds, np.zeros(most + 1 - len(bounds) + 1, dtype=np.int64)))
    size = 1024
    while size < 4 * most:
        size *= 2
    strings = np.full(size, -1, dtype=np.int32)
    for token in range(tokens):
        strings[_known(strings, points, bounds, token)] = token

    # What the neighbours of one merge win, by their id: one update a neighbour, not an occurrence.
    left_sum = np.zeros(most, dtype=np.int64)
    right_sum = np.zeros(most, dtype=np.int64)
    left_head = np.full(most, -1, dtype=np.int64)
    right_head = np.full(most, -1, dtype=np.int64)
    sizes = np.ones(most, dtype=np.int64)  # symbols that a token stands for
    lefts = np.empty(most, dtype=np.int64)
    rights = np.empty(most, dtype=np.int64)

    merges = np.empty((1024, 2), dtype=np.int64)
    made = 0
    while tokens < vocab_size and waiting > 0:
        key, head = heap[0, 1], heap[0, 2]
        count = pairs[_slot(pairs, key), _COUNT]
        if heap[0, 0] != count:
            heap[0, 0] = count
            _down(heap, waiting)
            continue
        if count < least:
            break
        waiting -= 1
        _swap(heap, 0, waiting)
        _down(heap, waiting)

        left, right = key >> 32, key & _LOW
        end = bounds[tokens]
        one = bounds[left + 1] - bounds[left]
        two, from_right = bounds[right + 1] - bounds[right], bounds[right]
        if 0 < len(prefix) <= two:
            matching = 0
            while matching < len(prefix) and points[from_right + matching] == prefix[matching]:
                matching += 1
            if matching == len(prefix):
                two, from_right = two - matching, from_right + matching
        if end + one + two > len(points):
            points = np.concatenate((points, np.zeros(len(points) + one + two, dtype=np.int32)))
        for index in range(one):
            points[end + index] = points[bounds[left] + index]
        for index in range(two):
            points[end + one + index] = points[from_right + index]
        bounds[tokens + 1] = end + one + two
        slot = _known(strings, points, bounds, tokens)
        new = wide(strings[slot])
        if new < 0:
            new = tokens
            strings[slot] = tokens
            tokens += 1
        sizes[new] = sizes[left] + sizes[right]
        if made == len(merges):
            merges = np.concatenate((merges, merges))
        merges[made, 0], merges[made, 1] = left, right
        made += 1

        some_left, some_right = 0, 0
        while head >= 0:
            word, following = wide(nodes[head, _WORD]), wide(nodes[head, _NEXT])
            nodes[head, _NEXT] = free[0]
            free[0] = head
            head = following
            start, length, weight = offsets[word], lengths[word], counts[word]
            if free[1] + 2 * length > len(nodes):
                nodes = _longer(nodes, free[1], 2 * len(nodes))
            read, write = start, start
            while read < start + length:
                if (
                    read + 1 == start + length
                    or symbols[read] != left
                    or symbols[read + 1] != right
                ):
                    symbols[write] = symbols[read]
                    read, write = read + 1, write + 1
                    continue
                if write > start:
                    beside = wide(symbols[write - 1])
                    if left_sum[beside] == 0:
                        lefts[some_left] = beside
                        some_left += 1
                    left_sum[beside] += weight
                    left_head[beside] = _note(nodes, free, left_head[beside], word)
                if read + 2 < start + length:
                    beside = wide(symbols[read + 2])
                    if right_sum[beside] == 0:
                        rights[some_right] = beside
                        some_right += 1
                    right_sum[beside] += weight
                    right_head[beside] = _note(nodes, free, right_head[beside], word)
                symbols[write] = new
                read, write = read + 2, write + 1
            lengths[word] = write - start

        while 2 * (used + 2 * (some_left + some_right)) > len(pairs):
            pairs = _table(pairs, 2 * len(pairs))
        for index in range(some_left):
            beside = lefts[index]
            if keep_all or beside == new:
                used += _add(pairs, beside << 32 | left, -left_sum[beside])
            else:
                _lose(pairs, beside << 32 | left, left_sum[beside])
            fits = sizes[beside] + sizes[new] <= longest
            if fits and (keep_all or beside == new or left_sum[beside] >= least):
                used += _add(pairs, beside << 32 | new, left_sum[beside])
        for index in range(some_right):
            beside = rights[index]
            if keep_all:
                used += _add(pairs, right << 32 | beside, -right_sum[beside])
            else:
                _lose(pairs, right << 32 | beside, right_sum[beside])
            fits = sizes[beside] + sizes[new] <= longest
            if fits and (keep_all or beside == left or right_sum[beside] >= least):
                used += _add(pairs, new << 32 | beside, right_sum[beside])

        if waiting + some_left + some_right > len(heap):
            heap = _longer(heap, waiting, 2 * len(heap) + 2 * most)
        if left_head[new] >= 0 and right_head[new] >= 0:  # both are the pair (new, new): one entry
            tail = left_head[new]
            while nodes[tail, _NEXT] >= 0:
                tail = wide(nodes[tail, _NEXT])
            nodes[tail, _NEXT] = right_head[new]
            right_head[new] = -1
        for index in range(some_left + some_right):
            if index < some_left:
                beside = lefts[index]
                key, head = beside << 32 | new, left_head[beside]
                left_sum[beside], left_head[beside] = 0, -1
            else:
                beside = rights[index - some_left]
                key, head = new << 32 | beside, right_head[beside]
                right_sum[beside], right_head[beside] = 0, -1
            count = pairs[_slot(pairs, key), _COUNT]
            if head >= 0 and count >= (1 if keep_all else least):
                _push(heap, waiting, count, key, head)
                waiting += 1
            else:
                while head >= 0:
                    following = wide(nodes[head, _NEXT])
                    nodes[head, _NEXT] = free[0]
                    free[0] = head
                    head = following
    return merges[:made], points[: bounds[tokens]], bounds[: tokens + 1]
