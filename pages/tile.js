// Tiles: what a shard returns of a picture. Lives here: reading them, believing nothing.

/** Pixels of a picture's side. */
export const MAX_SIDE = 4096;

const isWhole = (value, least, most) => Number.isInteger(value) && value >= least && value <= most;

const fromBase64 = (text, bytes) => {
  let binary;
  try {
    binary = atob(text);
  } catch {
    return null;
  }
  if (binary.length !== bytes) return null;
  return Uint8ClampedArray.from(binary, (character) => character.charCodeAt(0));
};

const fromNumbers = (numbers, pixels) => {
  if (!Array.isArray(numbers) || numbers.length !== 3 * pixels) return null;
  const rgba = new Uint8ClampedArray(4 * pixels).fill(255);
  numbers.forEach((value, index) => {
    rgba[4 * Math.floor(index / 3) + (index % 3)] = value;
  });
  return rgba;
};

const side = (value) => (isWhole(value, 1, MAX_SIDE) ? value : undefined);

/** The tile in a value, its pixels as bytes; null for anything else. */
export const readTile = (value) => {
  if (value === null || typeof value !== 'object') return null;
  const { x, y, width, height } = value;
  const isInside =
    isWhole(x, 0, MAX_SIDE - 1) && isWhole(y, 0, MAX_SIDE - 1) &&
    isWhole(width, 1, MAX_SIDE - x) && isWhole(height, 1, MAX_SIDE - y);
  if (!isInside) return null;
  const pixels = width * height;
  const rgba = typeof value.rgba === 'string'
    ? fromBase64(value.rgba, 4 * pixels)
    : fromNumbers(value.pixels, pixels);
  if (rgba === null) return null;
  const [imageWidth, imageHeight] = [side(value.imageWidth), side(value.imageHeight)];
  return { x, y, width, height, rgba, imageWidth, imageHeight };
};
