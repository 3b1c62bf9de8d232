// A guest book: one page that shows the newest entries and takes another.
//
//     GET  /function/guestbook     the page
//     POST /function/guestbook     an entry: a form's fields, or {"name": "…", "text": "…"}
//
// Each entry has a key that nobody else makes, so entries that are written at
// the same time do not replace each other.

const PREFIX = 'guestbook/';
const SHOWN = 50;

function escapeHtml(text) {
    const names = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
    return text.replace(/[&<>"']/g, (character) => names[character]);
}

function fieldOf(form, name) {
    for (const pair of form.split('&')) {
        const [key, value = ''] = pair.split('=');
        if (key === name) {
            return decodeURIComponent(value.replaceAll('+', ' '));
        }
    }
    return '';
}

function entryOf(event) {
    const isJson = (event.headers['content-type'] ?? '').startsWith('application/json');
    const { name, text } = isJson
        ? event.json()
        : { name: fieldOf(event.body, 'name'), text: fieldOf(event.body, 'text') };
    return { name: String(name ?? '').trim().slice(0, 80), text: String(text ?? '').trim().slice(0, 2000) };
}

// Newest first, in the order of keys. The time is the host's, so it is for people and proves nothing;
// the worker and a random number tell two entries of one millisecond apart.
function newKey(now, worker) {
    const countdown = String(1e14 - now).padStart(15, '0');
    return `${PREFIX}${countdown}-${worker}-${Math.random().toString(36).slice(2)}`;
}

function page(entries) {
    const items = entries.map(({ value }) => {
        const { name, text, time } = JSON.parse(value);
        const when = new Date(time).toISOString().slice(0, 16).replace('T', ' ');
        return `<li><b>${escapeHtml(name)}</b> <small>${when}</small><p>${escapeHtml(text)}</p></li>`;
    });
    return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Guest book</title>
<style>body { font: 1rem/1.5 sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem }
textarea { width: 100% } p { margin: 0 0 1rem; white-space: pre-wrap }</style>
<h1>Guest book</h1>
<form method="post">
<p><label>Name <input name="name" required maxlength="80"></label></p>
<p><textarea name="text" required maxlength="2000" rows="3" aria-label="Text"></textarea></p>
<p><button>Write</button></p>
</form>
<ul>${items.join('\n')}</ul>
</html>
`;
}

exports.handler = (event, ctx) => {
    if (event.method === 'POST') {
        const entry = { ...entryOf(event), time: Date.now() };
        if (entry.name === '' || entry.text === '') {
            return { status: 400, body: 'an entry has a name and a text\n' };
        }
        ctx.kv.put(newKey(entry.time, ctx.worker), entry);
        // A browser shows the page again, and does not ask to send the form twice.
        return { status: 303, headers: { location: event.path }, body: '' };
    }
    return {
        status: 200,
        headers: {
            'content-type': 'text/html; charset=utf-8',
            'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
        },
        body: page(ctx.kv.list(PREFIX, { limit: SHOWN }).entries),
    };
};
