// Reads how much of a file `NAME.part.weir` vouches for, as native-host/engine/src/journal.rs writes it.

import { readFile } from 'node:fs/promises';

const MAGIC = 'weirjnl1';
const HEADER = 24;
const SLOT = 128 * 1024;

/** Bytes the newest readable record says are in the file; null without one. */
export async function journalled(name) {
  const bytes = await readFile(name).catch(() => null);
  if (!bytes) return null;
  const records = [0, SLOT].map((at) => slot(bytes.subarray(at, at + SLOT))).filter(Boolean);
  const newest = records.sort((a, b) => Number(b.sequence - a.sequence))[0];
  const written = newest?.record.state.File?.written;
  return written ? written.reduce((sum, [from, to]) => sum + to - from, 0) : null;
}

/** A record that was being written when the program died does not parse: the one before it holds. */
function slot(bytes) {
  if (bytes.length < HEADER || bytes.toString('latin1', 0, 8) !== MAGIC) return null;
  const sequence = bytes.readBigUInt64LE(8);
  try {
    return { sequence, record: JSON.parse(bytes.toString('utf8', HEADER, HEADER + bytes.readUInt32LE(16))) };
  } catch {
    return null;
  }
}
