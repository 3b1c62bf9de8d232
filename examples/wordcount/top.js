// Sums what wordcount has counted.
//
//     GET /function/top?n=20     the 20 most frequent words; without n: all of them
//
// Answers lines "COUNT WORD": the most frequent first, equal ones by the alphabet.
// The header x-parts says how many parts were summed.

function* entriesBelow(kv, prefix) {
    let cursor;
    do {
        const page = kv.list(prefix, { cursor });
        yield* page.entries;
        cursor = page.cursor;
    } while (cursor !== undefined);
}

exports.handler = (event, ctx) => {
    const n = Number(event.query.n ?? Infinity);
    if (!(n >= 0)) {
        return { status: 400, body: 'n is a number of words\n' };
    }
    const sums = new Map();
    let parts = 0;
    for (const { value } of entriesBelow(ctx.kv, 'wordcount/part/')) {
        parts++;
        for (const [word, count] of JSON.parse(value)) {
            sums.set(word, (sums.get(word) ?? 0) + count);
        }
    }
    const byCount = ([wordA, a], [wordB, b]) => b - a || (wordA < wordB ? -1 : 1);
    const lines = [...sums].sort(byCount).slice(0, n).map(([word, count]) => `${count} ${word}\n`);
    return { status: 200, headers: { 'x-parts': parts }, body: lines.join('') };
};
