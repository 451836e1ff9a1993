# SPDX-License-Identifier: BSD-3-Clause
"""Fit the polynomials of ``src/fastloss/kernels/math.inc.h`` and print them as C constants.

Each polynomial is a minimax fit by the Remez exchange in 60-digit arithmetic.  The weight turns the error of the
polynomial into the relative error of the function that uses it, so the printed bound is what the fit adds to the
rounding of the evaluation.

    python tools/fit_polynomials.py
"""

import mpmath as mp

mp.mp.dps = 60


def remez(function, weight, low, high, terms):
    """Coefficients, lowest power first, of the weighted minimax polynomial, and its error."""
    count = terms + 1
    nodes = [(low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * (2 * k + 1) / (2 * count)) for k in range(count)]
    grid = [low + (high - low) * mp.mpf(k) / 4000 for k in range(4001)]
    for _ in range(30):
        system = mp.matrix(count, count)
        right = mp.matrix(count, 1)
        for row, x in enumerate(nodes):
            for power in range(terms):
                system[row, power] = x**power
            system[row, terms] = (-1) ** row / weight(x)
            right[row] = function(x)
        solution = mp.lu_solve(system, right)
        coefficients = [solution[power] for power in range(terms)]
        error = [(function(x) - mp.polyval(coefficients[::-1], x)) * weight(x) for x in grid]
        peaks = [
            k
            for k in range(len(grid))
            if (k == 0 or abs(error[k]) >= abs(error[k - 1]) or error[k] * error[k - 1] < 0)
            and (k == len(grid) - 1 or abs(error[k]) >= abs(error[k + 1]) or error[k] * error[k + 1] < 0)
        ]
        alternating: list[int] = []
        for k in peaks:
            if alternating and error[k] * error[alternating[-1]] > 0:
                if abs(error[k]) > abs(error[alternating[-1]]):
                    alternating[-1] = k
            else:
                alternating.append(k)
        while len(alternating) > count:
            drop = 0 if abs(error[alternating[0]]) < abs(error[alternating[-1]]) else -1
            alternating.pop(drop)
        if len(alternating) < count:
            raise RuntimeError(f"{len(alternating)} alternations found, {count} needed")
        nodes = [grid[k] for k in alternating]
    return coefficients, max(abs(e) for e in error)


def exp_tail(r):
    """(exp(r) - 1 - r) / r^2, the part of exp that is fitted."""
    if abs(r) < mp.mpf(10) ** -8:
        return mp.mpf(1) / 2 + r / 6
    return (mp.exp(r) - 1 - r) / r**2


def log_tail(x):
    """(2 atanh(s) - 2 s) / (s^3) as a function of x = s^2: the series 2/3 + 2/5 x + ..."""
    if x < mp.mpf(10) ** -12:
        return mp.mpf(2) / 3 + x * 2 / 5
    s = mp.sqrt(x)
    return (2 * mp.atanh(s) - 2 * s) / s**3


def show(name, fit, digits):
    coefficients, error = fit
    print(f"/* {name}: relative error 2^{mp.nstr(mp.log(error, 2), 4)} */")
    for power, value in enumerate(coefficients):
        print(f"    x^{power}: {mp.nstr(value, digits)}")


if __name__ == "__main__":
    half = mp.log(2) / 2 * mp.mpf("1.0001")
    largest = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2
    of_rest = mp.mpf(1) / 9  # s = u / (2 + u) of u = 1
    for bits, exp_terms, log_terms, log1p_terms, digits in ((32, 5, 3, 4, 10), (64, 10, 7, 10, 18)):
        show(
            f"exp, {bits} bits",
            remez(exp_tail, lambda r: r**2 / mp.exp(r) + mp.mpf(10) ** -30, -half, half, exp_terms),
            digits,
        )
        for name, end, terms in (("log", largest, log_terms), ("log1p of [0, 1]", of_rest, log1p_terms)):
            show(
                f"{name}, {bits} bits",
                remez(log_tail, lambda x: x / 2 + mp.mpf(10) ** -30, mp.mpf(0), end, terms),
                digits,
            )
