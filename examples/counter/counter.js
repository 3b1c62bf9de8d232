// A counter that loses nothing.
//
//     POST /function/counter?name=visits     counts one more
//     GET  /function/counter?name=visits     only looks
//
// Get, add one, put on one key would lose counts: two workers read 7, and both
// write 8. So each thread of each worker has a key of its own, which nobody else
// writes, and the count is their sum. It can grow, and nothing else.

function sumBelow(kv, prefix) {
    let sum = 0;
    let cursor;
    do {
        const page = kv.list(prefix, { cursor });
        for (const { value } of page.entries) {
            sum += Number(value);
        }
        cursor = page.cursor;
    } while (cursor !== undefined);
    return sum;
}

exports.handler = (event, ctx) => {
    const name = event.query.name || 'visits';
    const prefix = `counter/${encodeURIComponent(name)}/`;
    if (event.method === 'POST') {
        const mine = prefix + ctx.worker;  // of no two invocations at the same time
        ctx.kv.put(mine, (ctx.kv.getJSON(mine) ?? 0) + 1);
    }
    return { name, count: sumBelow(ctx.kv, prefix) };
};
