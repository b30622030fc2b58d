"""Visibility and its gradient at points, from `weights.safetensors` with NumPy alone:   python evaluate.py weights.safetensors x y z   [m]

    v_c(x) = min(1, mean over members of  g_c(x) exp(a_c(x)) + exp(b_c(x)))    share of the photons made at x that arrive at channel c
    w_c(x) = v_c(x) eff_c exp(delta_c(x))                                      of a calibration: detected photo-electrons per photon
    g: solid angle of a disk / 4 pi;  a, b: sine network, at x or at its mirror image;  delta: smooth correction

Gradients by a complex step: Im f(x + i e) / e is exact to rounding, so every function here takes complex points too.
"""

import itertools
import json
import sys

import numpy as np


def load(path):
    """(description, tensors by name). A safetensors file is 8 bytes with the length of its header, the header in JSON, the tensors."""
    with open(path, "rb") as file:
        raw = file.read()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    told = json.loads(header.pop("__metadata__")["field"])
    return told, {n: np.frombuffer(raw, "<f4", int(np.prod(e["shape"])), start + e["data_offsets"][0]).reshape(e["shape"]) for n, e in header.items()}


def offsets(told, x):
    """(height above the disk's plane, square of the distance to its centre), each (n, channel)."""
    away = x[:, None] - np.array(told["centre"])
    return (away * told["normal"]).sum(-1), (away**2).sum(-1)


def share(told, x):
    """g: the solid angle of a disk by Bulirsch's complete elliptic integral (Paxton, Rev. Sci. Instrum. 30, 254 (1959))."""
    a, (height, square) = np.array(told["radius"]), offsets(told, x)
    across = square - height**2
    h, r = np.where(height.real > 0, height, 0) + 1e-9 * a, np.sqrt(np.where(across.real > 1e-24, across, 1e-24))
    q, far = (a - r) / (a + r), h**2 + (a + r) ** 2
    q, kc = np.where(abs(q) < 1e-9, 1e-9, q), np.sqrt((h**2 + (a - r) ** 2) / far)
    p = np.where(q.real > 0, q, -q)
    kk, mean, c, s = kc, 1.0, 1 + q, (q * q + q) / p
    for _ in range(7):  # Landen's transformation
        g = kk / p
        c, s, p = c + s / p, 2 * (s + c * g), g + p
        mean, kc = kc + mean, 2 * np.sqrt(kk)
        kk = kc * mean
    omega = np.where(q.real > 0, 2 * np.pi, 0) - 2 * h / np.sqrt(far) * (np.pi / 2 * (s + c * mean) / (mean * (mean + p)))
    return np.where((height.real > 0) & (omega.real > 0) & told["factor"], omega, 0) / (4 * np.pi)


def network(told, w, member, x):
    """a and b of all heads, side by side."""
    w = {name.split(f"networks.{member}.")[1]: tensor for name, tensor in w.items() if f"networks.{member}." in name}
    h, last = (x - w["centre"]) / w["half_width"], len(told["omegas"])
    for k, omega in enumerate(told["omegas"]):
        h = np.sin(omega * (h @ w[f"layers.{k}.weight"].T + w[f"layers.{k}.bias"]))
    return h @ w[f"layers.{last}.weight"].T + w[f"layers.{last}.bias"]


def walls(told, w, x):
    """sum_w h_w T_w: T, how often diffuse light met each wall; shares of directions of its patches from their corners, by atan(u v / (w r))."""
    patches, omega = round((len(w["met"]) / 6) ** 0.5), []
    to = np.linspace(-1, 1, patches + 1)[:, None] * told["box_half"] + told["box_centre"] - x[:, None]
    for axis in range(3):
        u, v = to[:, :, None, (axis + 1) % 3], to[:, None, :, (axis + 2) % 3]
        for up in (-to[:, 0, axis, None, None], to[:, -1, axis, None, None]):
            up = np.where(up.real > 1e-3, up, 1e-3)
            a = np.arctan(u * v / (up * np.sqrt(up * up + u * u + v * v)))
            omega.append((a[:, 1:, 1:] - a[:, 1:, :-1] - a[:, :-1, 1:] + a[:, :-1, :-1]).reshape(len(x), -1) / (4 * np.pi))
    omega = np.concatenate(omega, 1)
    return (omega @ w["met"] * np.repeat(w["walls"], patches**2)) @ w["onward"].T / (omega @ w["onward"].T)


def correction(told, w, x, g, v):
    """delta: Legendre products over the box, distance and cosine to the sensor, walls; f: share of direct light."""
    u, degree, (height, square) = (x - told["box_centre"]) / told["box_half"], told["degree"], offsets(told, x)
    P = [np.ones_like(u), u]
    for n in range(1, degree):
        P.append(((2 * n + 1) * u * P[n] - n * P[n - 1]) / (n + 1))
    powers = sorted((d for d in itertools.product(range(degree + 1), repeat=3) if 1 <= sum(d) <= degree), key=lambda d: (sum(d), d))
    phi = np.stack([P[i][:, 0] * P[j][:, 1] * P[k][:, 2] for i, j, k in powers], -1)
    d = np.sqrt(square)
    near, cosine = d / max(told["box_half"]), height / np.where(d.real > 1e-6, d, 1e-6)
    f = w["alpha"] * g * np.exp(-d / w["length"]) / v
    f = np.where(f.real > 1, 1, f)
    diffuse = walls(told, w, x) + w["own"][:, 0] + phi @ w["own"][:, 1:].T
    psi = np.stack([near, near**2, cosine, f * (1 - f)], -1)
    return psi @ w["sensor"] + (phi @ w["shared"])[:, None] + (1 - f) * diffuse - w["gauge"]


def visibility(told, w, x):
    """v, or w of a calibration: (n, channel) at x (n, 3) [m]."""
    head, sign, middle = np.array(told["head"]), np.array(told["sign"]), np.array(told["box_centre"])
    g, v = share(told, x), 0
    for member, mirror in itertools.product(range(told["members"]), np.unique(sign, axis=0)):
        both = network(told, w, member, middle + mirror * (x - middle))
        seen = (sign == mirror).all(1) / told["members"]
        v = v + (g * np.exp(both[:, head]) + np.exp(both[:, head.max() + 1 + head])) * seen
    v = np.where(v.real > 1, 1, v)
    return v * w["efficiency"] * np.exp(correction(told, w, x, g, v)) if "efficiency" in w else v


def gradient(told, w, x, step=1e-20):
    """(n, channel, 3) [1/m] at x (n, 3) [m]."""
    return np.stack([visibility(told, w, x + 1j * step * axis).imag / step for axis in np.eye(3)], -1)


if __name__ == "__main__":
    field, points = load(sys.argv[1]), np.array(sys.argv[2:], float).reshape(-1, 3)
    for point, values, slopes in zip(points, visibility(*field, points), gradient(*field, points), strict=True):
        print("x y z [m]:", *point)
        for channel, (value, slope) in enumerate(zip(values, slopes, strict=True)):
            print(f"  channel {channel}: {value:.9g}   gradient [1/m]: {slope[0]:.9g} {slope[1]:.9g} {slope[2]:.9g}")
