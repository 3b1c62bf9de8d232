// src/lambda/prelude.js
//
// Runs once in the fresh realm of each function version, before the function's
// own code. It builds what functions see on top of a few native calls, turns
// their answers into bytes and headers, and then freezes the realm, so that
// an invocation leaves nothing behind for the next.
//
// This is the body of function (native, load, name, version, worker):
// `native` holds the host calls, `load(exports, module)` runs the function's
// top level. It returns { run, enter }, for lambda.c alone.
'use strict';

const CALL_DEPTH_MAX = 8;
const LIST_LIMIT_DEFAULT = 100;

function isObject(value) {
    return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

// A copy, so that lambda.c reads memory that no script can resize or detach.
function bytesOf(value) {
    if (value instanceof ArrayBuffer) {
        return new Uint8Array(value.slice(0));
    }
    if (ArrayBuffer.isView(value)) {
        return new Uint8Array(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
    }
    return undefined;
}

// ---- what functions see ----

function storedOf(value, what) {
    if (typeof value === 'string') {
        return value;
    }
    const stored = bytesOf(value) ?? JSON.stringify(value);
    if (stored === undefined) {
        throw new TypeError(what + ': the value is neither a string, nor bytes, nor JSON');
    }
    return stored;
}

const kv = {
    get(key) {
        return native.get(key, false);
    },
    getJSON(key) {
        const text = native.get(key, false);
        return text === undefined ? undefined : JSON.parse(text);
    },
    getBytes(key) {
        return native.get(key, true);
    },
    put(key, value, options) {
        const stored = storedOf(value, 'kv.put');
        native.put(key, stored, stored.length, options?.ttlMs ?? 0);
    },
    version(key) {
        return native.version(key);
    },
    cas(key, expected, value, options) {
        const stored = storedOf(value, 'kv.cas');
        return native.swap(key, expected ?? '', stored, stored.length, options?.ttlMs ?? 0);
    },
    delete(key) {
        native.delete(key);
    },
    list(prefix = '', { limit = LIST_LIMIT_DEFAULT, cursor = '' } = {}) {
        const flat = native.list(prefix, limit, cursor);
        const entries = [];
        for (let i = 1; i < flat.length; i += 2) {
            entries.push({ key: flat[i], value: flat[i + 1] });
        }
        return { entries, cursor: flat[0] };
    },
    sync() {
        native.sync();
    },
};

function textOf(value) {
    if (typeof value === 'string') {
        return value;
    }
    if (value instanceof Error) {
        return describe(value);
    }
    try {
        return JSON.stringify(value) ?? String(value);
    } catch {
        return String(value);
    }
}

function logAt(level) {
    return (...values) => native.log(level, values.map(textOf).join(' '));
}

const consoleOfOurs = {
    debug: logAt(0),
    log: logAt(1),
    info: logAt(1),
    warn: logAt(2),
    error: logAt(3),
};

// The prototype's globals. What an old script answers is kept in `old`, which
// lives as long as one run of a top level.
let old;

function oldAnswer() {
    old ??= { answer: undefined };
    return old;
}

const globalsOfOld = {
    psl_get: (key) => (oldAnswer(), kv.get(key)),
    psl_put: (key, value) => (oldAnswer(), kv.put(key, value)),
    psl_return(value) {
        oldAnswer().answer = value;
    },
    print(...values) {
        const state = oldAnswer();
        state.answer = (state.answer ?? '') + values.map(textOf).join(' ') + '\n';
    },
};

// ---- events ----

function decoded(text) {
    const spaced = text.replaceAll('+', ' ');
    try {
        return decodeURIComponent(spaced);
    } catch {
        return spaced;
    }
}

function queryOf(text) {
    const query = { __proto__: null };
    for (const pair of text.split('&')) {
        if (pair !== '') {
            const at = pair.indexOf('=');
            const key = at < 0 ? pair : pair.slice(0, at);
            query[decoded(key)] = at < 0 ? '' : decoded(pair.slice(at + 1));
        }
    }
    return query;
}

// `packed` is name NUL value NUL name NUL ...
function headersOf(packed) {
    const headers = { __proto__: null };
    const parts = packed.split('\0');
    for (let i = 0; i + 1 < parts.length; i += 2) {
        const key = parts[i].toLowerCase();
        headers[key] = key in headers ? headers[key] + ', ' + parts[i + 1] : parts[i + 1];
    }
    return headers;
}

// Most functions look at little of their event, so its parts are made when asked for.
function eventOf(method, path, query) {
    let queryMade, headersMade, body, bytes;
    return {
        method,
        path,
        get query() {
            return (queryMade ??= queryOf(query));
        },
        get headers() {
            return (headersMade ??= headersOf(native.headers()));
        },
        get body() {
            return (body ??= native.body(false));
        },
        get bytes() {
            return (bytes ??= native.body(true));
        },
        json() {
            return JSON.parse(this.body);
        },
    };
}

// ---- answers ----

function describe(error) {
    try {
        if (!isObject(error)) {
            return String(error);
        }
        const line = String(error.stack ?? '').split('\n', 1)[0];
        return line === '' ? String(error) : String(error) + '\n    at ' + line;
    } catch {
        return 'threw something that cannot be shown';
    }
}

// A body and the content type that it has unless a header says otherwise.
function bodyOf(value) {
    if (value === undefined) {
        return { body: '', type: undefined };
    }
    if (typeof value === 'string') {
        return { body: value, type: 'text/plain; charset=utf-8' };
    }
    const bytes = bytesOf(value);
    if (bytes !== undefined) {
        return { body: bytes, type: 'application/octet-stream' };
    }
    const json = JSON.stringify(value);
    if (json === undefined) {
        throw new TypeError('the answer is neither text, nor bytes, nor JSON');
    }
    return { body: json, type: 'application/json' };
}

function answer(value) {
    const isResponse = isObject(value) && Number.isInteger(value.status);
    const { body, type } = bodyOf(isResponse ? value.body : value);
    let head = '';
    let hasType = type === undefined;
    if (isResponse && isObject(value.headers)) {
        const headers = value.headers;
        for (const key of Object.keys(headers)) {
            const lower = key.toLowerCase();
            hasType ||= lower === 'content-type';
            const all = Array.isArray(headers[key]) ? headers[key] : [headers[key]];
            for (const one of all) {
                const text = String(one);
                if (lower.includes('\0') || text.includes('\0')) {
                    throw new TypeError('a response header contains NUL');
                }
                head += lower + '\0' + text + '\0';
            }
        }
    }
    if (!hasType) {
        head = 'content-type\0' + type + '\0' + head;
    }
    const status = isResponse ? value.status : value === undefined ? 204 : 200;
    native.answer(status, head, body, body.length);
}

// ---- invocations ----

const NO_HANDLER = {};

// Run the top level, then the handler: its value, a promise of it, or NO_HANDLER.
function invoke(event, ctx) {
    const outer = old;
    old = undefined;
    try {
        const exports = {};
        const module = { exports };
        load(exports, module);
        const handler = module.exports?.handler;
        if (typeof handler === 'function') {
            return handler(event, ctx);
        }
        return old === undefined ? NO_HANDLER : old.answer;
    } finally {
        old = outer;
    }
}

function isPromise(value) {
    return isObject(value) && typeof value.then === 'function';
}

const contexts = [];
const itself = Object.freeze({ name, version });

// What `fn` puts counts all or not at all: when it has returned, or what it promised is there.
function lock(name, fn) {
    if (typeof fn !== 'function') {
        throw new TypeError('ctx.lock: takes a name and a function');
    }
    const hold = native.lock(name);
    const fail = (error) => {
        native.abandon(hold);
        throw error;
    };
    const keep = (value) => {
        native.unlock(hold);
        return value;
    };
    let value;
    try {
        value = fn();
    } catch (error) {
        fail(error);
    }
    return isPromise(value) ? Promise.resolve(value).then(keep, fail) : keep(value);
}

// ctx holds nothing of one invocation, so one of each depth is enough.
function contextOf(depth) {
    return (contexts[depth] ??= Object.freeze({
        kv,
        log: consoleOfOurs.log,
        lock,
        secret: Object.freeze((key) => native.secret(key)),
        attest: Object.freeze((nonce) => native.attest(storedOf(nonce, 'ctx.attest'))),
        call: Object.freeze((callee, event) => call(callee, event, depth + 1)),
        function: itself,
        worker,
    }));
}

function call(callee, event, depth) {
    return new Promise((resolve, reject) => {
        if (depth > CALL_DEPTH_MAX) {
            throw coded('ctx.call: nested deeper than ' + CALL_DEPTH_MAX, 'too_deep');
        }
        // The other realm is handed this function and gives it strings: no object crosses.
        const settle = (ok, text, code) => {
            if (!ok) {
                reject(coded(text, code));
            } else {
                resolve(text === undefined ? undefined : JSON.parse(text));
            }
        };
        native.call(String(callee), JSON.stringify(event), depth, settle);
    });
}

function coded(message, code) {
    const error = new Error(message);
    if (code !== undefined) {
        error.code = code;
    }
    return error;
}

function codeOf(error) {
    try {
        return isObject(error) && typeof error.code === 'string' ? error.code : undefined;
    } catch {
        return undefined;
    }
}

function threw(error) {
    native.threw(describe(error), codeOf(error) ?? '');
}

// From lambda.c: an invocation from outside.
function run(method, path, query) {
    const settle = (value) => {
        try {
            answer(value);
        } catch (error) {
            threw(error);
        }
    };
    try {
        const value = invoke(eventOf(method, path, query), contextOf(0));
        if (value === NO_HANDLER) {
            native.noHandler();
        } else if (isPromise(value)) {
            Promise.resolve(value).then(settle, threw);
        } else {
            settle(value);
        }
    } catch (error) {
        threw(error);
    }
    native.drain();
}

// From lambda.c: an invocation by another function's ctx.call.
function enter(json, depth, settle) {
    const fail = (error) => {
        settle(false, name + ': ' + describe(error), codeOf(error));
    };
    const succeed = (value) => {
        let text;
        try {
            text = JSON.stringify(value);
        } catch (error) {
            fail(error);
            return;
        }
        settle(true, text);
    };
    try {
        const event = json === undefined ? undefined : JSON.parse(json);
        if (isObject(event) && event.json === undefined) {
            event.json = function () {
                return JSON.parse(this.body);
            };
        }
        const value = invoke(event, contextOf(depth));
        if (value === NO_HANDLER) {
            fail(coded('has no exports.handler', 'no_handler'));
        } else if (isPromise(value)) {
            Promise.resolve(value).then(succeed, fail);
        } else {
            succeed(value);
        }
    } catch (error) {
        fail(error);
    }
}

// ---- the frozen realm ----

// In a frozen realm `error.message = 'x'` throws, because the prototype's
// property cannot be written. For the names that programs do assign, an
// accessor stands in, which defines the property on the object itself.
function openToOverride(prototype, keys) {
    for (const key of keys) {
        const { value, enumerable } = Object.getOwnPropertyDescriptor(prototype, key) ?? {};
        if (value === undefined) {
            continue;
        }
        Object.defineProperty(prototype, key, {
            get: () => value,
            set(replacement) {
                if (!isObject(this) || this === prototype) {
                    throw new TypeError("cannot assign to '" + key + "' of a frozen prototype");
                }
                Object.defineProperty(this, key, {
                    value: replacement,
                    writable: true,
                    enumerable: true,
                    configurable: true,
                });
            },
            enumerable,
            configurable: false,
        });
    }
}

// Freeze `root` and all that can be reached from it.
function harden(root) {
    const waiting = [root];
    const seen = new Set(waiting);
    const visit = (value) => {
        if (isObject(value) && !seen.has(value)) {
            seen.add(value);
            waiting.push(value);
        }
    };
    while (waiting.length > 0) {
        const object = waiting.pop();
        Object.freeze(object);
        visit(Object.getPrototypeOf(object));
        for (const key of Reflect.ownKeys(object)) {
            const property = Object.getOwnPropertyDescriptor(object, key);
            visit(property.value);
            visit(property.get);
            visit(property.set);
        }
    }
    return root;
}

function freezeRealm() {
    // WebAssembly: a second compiler that nobody asked for. FinalizationRegistry: would call
    // back in another invocation. RegExp's legacy statics remember the last match.
    for (const key of ['WebAssembly', 'FinalizationRegistry', 'SharedArrayBuffer', 'Atomics']) {
        delete globalThis[key];
    }
    for (const key of Object.getOwnPropertyNames(RegExp)) {
        if (!['length', 'name', 'prototype', 'escape'].includes(key)) {
            delete RegExp[key];
        }
    }

    for (const [key, value] of Object.entries({ console: consoleOfOurs, ...globalsOfOld })) {
        Object.defineProperty(globalThis, key, { value, writable: true, configurable: true });
    }

    openToOverride(Object.prototype,
        ['toString', 'toLocaleString', 'valueOf', 'hasOwnProperty', 'constructor']);
    openToOverride(Function.prototype, ['toString', 'constructor', 'bind', 'name']);
    const errors = [Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError,
        AggregateError];
    for (const error of errors) {
        openToOverride(error.prototype, ['message', 'name', 'toString', 'constructor']);
    }

    // The intrinsics that no global names.
    const hidden = [
        function* () {},
        async function () {},
        async function* () {},
        [][Symbol.iterator](),
        ''[Symbol.iterator](),
        new Map()[Symbol.iterator](),
        new Set()[Symbol.iterator](),
        'a'.matchAll(/a/g),
        (function () { return Object.getOwnPropertyDescriptor(arguments, 'callee').get; })(),
        new Intl.Segmenter().segment(''),
        new Intl.Segmenter().segment('')[Symbol.iterator](),
    ];
    harden([globalThis, load, kv, hidden]);
}

freezeRealm();
return { run, enter };
