// Where the names of lines stand in a chart: each at its own line, where the lines are furthest apart.

export interface Line {
  of: string;
  points: number[][];
}

interface Frame {
  left: number;
  right: number;
  bottom: number;
  /** Where a line stands upright. */
  avoid: number;
}

interface Spot {
  x: number;
  y: number;
}

const along = (points: readonly number[][]) =>
  points.slice(1).flatMap(([x = 0, y = 0], k) => [0, 0.25, 0.5, 0.75, 1].map((t) => [points[k]![0]! * (1 - t) + x * t, points[k]![1]! * (1 - t) + y * t] as const));

export function labelled(lines: readonly Line[], frame: Frame): Map<string, Spot> {
  const written: (Spot & { wide: number })[] = [], found = new Map<string, Spot>();
  for (const { of, points } of lines) {
    const wide = 6.4 * of.length;
    const away = (s: Spot, some: readonly Line[]) =>
      Math.min(...some.flatMap((line) => along(line.points).map(([x, y]) => Math.hypot(Math.max(0, Math.abs(x - s.x) - wide / 2), y - (s.y - 4)))));
    const clear = (s: Spot) => {
      const own = away(s, lines.filter((l) => l.of === of)), others = away(s, lines.filter((l) => l.of !== of));
      const names = written.map((t) => Math.max(0, Math.abs(t.x - s.x) - t.wide / 2 - wide / 2) + Math.abs(t.y - s.y));
      const inside = [s.y - 12, frame.bottom - s.y, s.x - wide / 2 - frame.left, frame.right - s.x - wide / 2, Math.abs(frame.avoid - s.x) - wide / 2];
      return Math.min(own, others - own, ...names, ...inside, 14);
    };
    const spots = points.flatMap(([x = 0, y = 0]) => [-1, 0, 1].flatMap((side) => [-9, 4, 17].map((shift) => ({ x: x + side * (wide / 2 + 8), y: y + shift }))));
    if (!spots.length) continue;
    const best = spots.reduce((a, b) => (clear(b) > clear(a) ? b : a));
    written.push({ ...best, wide });
    found.set(of, { x: Math.min(frame.right - wide / 2, Math.max(frame.left + wide / 2 + 3, best.x)), y: best.y });
  }
  return found;
}
