// A suggestion box: anybody drops a note in, and only who knows the word reads them.
//
//     POST /function/box                      drops the body of the request
//     GET  /function/box + X-Word: the word   all notes
//     GET  /function/box?nonce=NONCE          evidence that this very code answers
//
// The word is a secret of the app, not a part of this code: `paranoid secret set box-word`.

// As long for every guess of this length: no time tells how many letters were right.
function isSame(a, b) {
    let difference = a.length ^ b.length;
    for (let i = 0; i < a.length; i++) {
        difference |= a.charCodeAt(i) ^ b.charCodeAt(i % b.length);
    }
    return difference === 0;
}

exports.handler = (event, ctx) => {
    if (event.query.nonce !== undefined) {
        return ctx.attest(event.query.nonce);
    }
    if (event.method === 'POST') {
        const number = String(ctx.kv.getJSON('box/count/' + ctx.worker) ?? 0).padStart(6, '0');
        ctx.kv.put('box/count/' + ctx.worker, Number(number) + 1);
        ctx.kv.put(`box/note/${ctx.worker}/${number}`, event.body);
        return 'it is in the box\n';
    }
    const word = ctx.secret('box-word');
    if (word === undefined || !isSame(event.headers['x-word'] ?? '', word)) {
        return { status: 403, body: 'you do not know the word\n' };
    }
    return ctx.kv.list('box/note/', { limit: 1000 }).entries
        .map(({ value }) => value + '\n').join('');
};
