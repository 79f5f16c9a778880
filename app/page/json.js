// JSON as it is written. What JSON.parse makes of it is not always the same: a number of more than
// sixteen digits is rounded, 1.0 becomes 1.
const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]/g;

// The members of the object that `text` is: name → the text of its value, in their order.
export function members(text) {
  const found = new Map();
  let depth = 0;
  let name = null;
  let start = 0;
  for (const { 0: token, index } of text.matchAll(TOKENS)) {
    if ("}]".includes(token)) depth -= 1;
    if (depth === 1 && token === ":") start = index + 1;
    else if (depth === 1 && name === null && token.startsWith('"')) name = JSON.parse(token);
    else if (name !== null && (depth === 0 || (depth === 1 && token === ","))) {
      found.set(name, text.slice(start, index).trim());
      name = null;
    }
    if ("{[".includes(token)) depth += 1;
  }
  return found;
}
