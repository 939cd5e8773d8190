/** The object with a member set, or without it where the value is undefined; the order of the others stays. */
export function withMember<T extends object>(object: T, key: string, value: unknown): T {
  return Object.fromEntries(
    Object.entries({ ...object, [key]: value }).filter(([k, v]) => k !== key || v !== undefined),
  ) as T
}
