// Numbered tickets: 1, 2, 3, each handed out once.
//
//     POST /function/tickets?queue=bakery     draws a ticket
//     GET  /function/tickets?queue=bakery     the last one that was drawn
//
// Under the lock nobody else draws, and what is put counts all at once: the
// number and who has it. When ctx.lock() returns, that is decided and durable.

exports.handler = (event, ctx) => {
    const queue = `tickets/${encodeURIComponent(event.query.queue || 'bakery')}`;
    if (event.method !== 'POST') {
        return { last: ctx.kv.getJSON(queue) ?? 0 };
    }
    return ctx.lock(queue, () => {
        const number = (ctx.kv.getJSON(queue) ?? 0) + 1;
        ctx.kv.put(queue, number);
        ctx.kv.put(`${queue}/${number}`, event.body || 'somebody');
        return { number };
    });
};
