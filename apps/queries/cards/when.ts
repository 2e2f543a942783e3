/**
 * Goes on with a value: at once when it is there, and after it when it is to come. On the way of a
 * warm page nothing is to come, and a promise for every step would cost more than the step.
 */
export function when<T, R>(
  value: T | Promise<T>,
  next: (value: T) => R | Promise<R>,
): R | Promise<R> {
  return value instanceof Promise ? value.then(next) : next(value);
}
