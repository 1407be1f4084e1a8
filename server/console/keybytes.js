// Keys and values as bytes: how they are written in an address, and what they are as text.

// percentEncode writes any bytes as one segment of a path.
export function percentEncode(key) {
  return Array.from(key, (byte) => {
    const char = String.fromCharCode(byte);
    return /[A-Za-z0-9\-._~]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }).join("");
}

// percentDecode reads what percentEncode wrote, or anything else that is
// percent-encoded once.
export function percentDecode(text) {
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) throw new Error("A % has to be followed by two hex digits.");
  const decoded = [];
  for (let rest = text; rest !== "";) {
    const plain = /^[^%]*/.exec(rest)[0];
    decoded.push(...new TextEncoder().encode(plain));
    rest = rest.slice(plain.length);
    if (rest !== "") {
      decoded.push(parseInt(rest.slice(1, 3), 16));
      rest = rest.slice(3);
    }
  }
  return Uint8Array.from(decoded);
}

/**
 * readKey takes a key as a list gives it: as text, or in base64 if it is not text. Line breaks and
 * the like would be lost in an input, so such a key is put there percent-encoded.
 * @param {string | {key: string} | {key_base64: string}} item
 * @returns {{segment: string, label: string, input: string, encoded: boolean}}
 */
export function readKey(item) {
  const text = typeof item === "string" ? item : item.key;
  const data = text !== undefined ? new TextEncoder().encode(text)
    : Uint8Array.from(atob(item.key_base64), (char) => char.charCodeAt(0));
  return keyOf(data, text);
}

/** keyOfSegment is the key that a segment of a path stands for. */
export function keyOfSegment(segment) {
  const data = percentDecode(segment);
  return keyOf(data, utf8(data) ?? undefined);
}

function keyOf(data, text) {
  const segment = percentEncode(data);
  if (text !== undefined && !/[\u0000-\u001f\u007f]/.test(text)) return { segment, label: text, input: text, encoded: false };
  return { segment, label: segment, input: segment, encoded: true };
}

export function utf8(data) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
  } catch {
    return null;
  }
}

const CONTROLS = /[\u0000-\u0008\u000e-\u001f\u007f]/;

/** asText is a value as text; null: it is none. */
export function asText(data) {
  const text = utf8(data);
  return text !== null && !CONTROLS.test(text) ? text : null;
}

export function hexDump(data) {
  const lines = [];
  for (let at = 0; at < data.length; at += 16) {
    const line = Array.from(data.subarray(at, at + 16));
    const hex = line.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const chars = line.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${at.toString(16).padStart(6, "0")}  ${hex.padEnd(47)}  ${chars}`);
  }
  return lines.join("\n");
}

/** MAGIC is how files of these types begin, at an offset. */
const MAGIC = [
  ["image/png", 0, "\x89PNG\r\n\x1a\n"], ["image/jpeg", 0, "\xff\xd8\xff"], ["image/gif", 0, "GIF87a"], ["image/gif", 0, "GIF89a"],
  ["image/webp", 8, "WEBP"], ["image/avif", 4, "ftypavif"], ["image/x-icon", 0, "\x00\x00\x01\x00"],
];

/** imageType is the type of an image that a browser can show; "": it is none. */
export function imageType(data, contentType) {
  const begins = ([, offset, bytes]) => [...bytes].every((char, at) => data[offset + at] === char.charCodeAt(0));
  const [type] = MAGIC.find(begins) ?? [""];
  return type || (/^image\/svg\+xml\b/i.test(contentType) ? "image/svg+xml" : "");
}
