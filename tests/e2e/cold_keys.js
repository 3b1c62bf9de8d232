// Puts and reads keys where they are: what a client asks for one by one takes longer to ask than
// to answer. { put: [from, to] } or { get: count, seed, keys }; answers how many were not right.

function key(number) {
    return 'key-' + String(number).padStart(8, '0');
}

// As value() in cold_keys.py with --filled.
function value(number) {
    return (number + '-').padEnd(1024, 'the value of this key ');
}

function draw(state) {
    state.at = (state.at * 1103515245 + 12345) % 2147483648;
    return state.at;
}

exports.handler = (event, ctx) => {
    const ask = event.json();
    if (ask.put) {
        for (let i = ask.put[0]; i < ask.put[1]; i++) {
            ctx.kv.put(key(i), value(i));
        }
        return { wrong: 0 };
    }
    const state = { at: ask.seed % 2147483648 };
    let wrong = 0;
    for (let i = 0; i < ask.get; i++) {
        // The low bits of such a row repeat soon.
        const number = Math.floor(draw(state) / 2147483648 * ask.keys);
        wrong += ctx.kv.get(key(number)) === value(number) ? 0 : 1;
    }
    return { wrong };
};
