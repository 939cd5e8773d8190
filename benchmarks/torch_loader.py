#!/usr/bin/python3
"""torch_loader.py ZIP [WORKERS]: images a second of a PyTorch DataLoader over a zip of JPEG folders, read by Pillow, batch 128, without and
with a random crop (padding 4) and flip; and from a uint8 tensor in memory, as people do with small sets. Peer of bench_loader."""
import io
import sys
import time
import zipfile

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset


class Zip(Dataset):
    def __init__(self, path, augment):
        self.path, self.augment, self.zip = path, augment, None
        names = [n for n in zipfile.ZipFile(path).namelist() if n.startswith("train/")]
        classes = sorted({n.split("/")[1] for n in names})
        self.items = [(n, classes.index(n.split("/")[1])) for n in names]

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        self.zip = self.zip or zipfile.ZipFile(self.path)
        name, label = self.items[i]
        image = Image.open(io.BytesIO(self.zip.read(name))).convert("RGB")
        x = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(32, 32, 3).permute(2, 0, 1).float()
        return (augmented(x) if self.augment else x), label


class Memory(Dataset):
    def __init__(self, n, augment):
        self.x, self.augment = torch.randint(0, 256, (n, 3, 32, 32), dtype=torch.uint8), augment

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        x = self.x[i].float()
        return (augmented(x) if self.augment else x), 0


def augmented(x):
    x = torch.nn.functional.pad(x, (4, 4, 4, 4))
    r, c = torch.randint(0, 9, (2,)).tolist()
    x = x[:, r : r + 32, c : c + 32]
    return x.flip(2) if torch.rand(()) < 0.5 else x


def measure(name, data, workers, batches=80):
    it = iter(DataLoader(data, 128, shuffle=True, num_workers=workers))
    next(it)
    began = time.perf_counter()
    for _ in range(batches):
        next(it)
    print(f"{name}, {workers} workers: {batches * 128 / (time.perf_counter() - began):.0f} samples/s")


workers = int(sys.argv[2]) if len(sys.argv) > 2 else 1
for augment in (False, True):
    kind = "crop and flip" if augment else "as they are"
    measure("from the zip, " + kind, Zip(sys.argv[1], augment), workers)
    measure("from memory, " + kind, Memory(50000, augment), workers)
