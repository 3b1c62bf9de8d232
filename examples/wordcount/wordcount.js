// Counts the words of one part of a text.
//
//     POST /function/wordcount?part=7      the text as the body
//     POST /function/wordcount             {"part": 7, "text": "…"}
//
// Each part has a key of its own. Many workers count at the same time, and of
// two writes to one key the last one wins: a shared sum would lose counts. Here
// no two parts meet, and counting a part again writes the same value once more.

function inputOf(event) {
    if (event.query.part !== undefined) {
        return { part: Number(event.query.part || NaN), text: event.body };
    }
    return event.json();
}

// A word is a run of A to Z, in lower case: what `tr -cs A-Za-z '\n' | tr A-Z a-z` gives.
function countWords(text) {
    const counts = new Map();
    for (const [found] of text.matchAll(/[A-Za-z]+/g)) {
        const word = found.toLowerCase();
        counts.set(word, (counts.get(word) ?? 0) + 1);
    }
    return counts;
}

exports.handler = (event, ctx) => {
    const { part, text } = inputOf(event);
    if (!Number.isSafeInteger(part) || part < 0 || typeof text !== 'string') {
        return { status: 400, body: 'a part has a number from 0 on, and a text\n' };
    }
    const counts = countWords(text);
    ctx.kv.put('wordcount/part/' + String(part).padStart(3, '0'), [...counts]);
    return { part, distinct: counts.size };
};
