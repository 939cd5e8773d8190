"""cmake --install puts things where the FHS says, and what is installed runs."""
import subprocess

import pytest

from conftest import BUILD, SANITIZED

pytestmark = pytest.mark.skipif(SANITIZED, reason="one install check is enough")


def test_the_installed_programs_answer(tmp_path):
    subprocess.run(["cmake", "--install", str(BUILD), "--prefix", str(tmp_path)], check=True, stdout=subprocess.DEVNULL)
    for name in ("trainyard", "trainyard-orchestrator", "trainyard-agent", "trainyard-train", "trainyard-rsh"):
        program = tmp_path / "bin" / name
        out = subprocess.run([str(program), "--help"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20)
        assert out.returncode == 0 and "sage" in out.stdout, f"{name} --help: {out.stdout[:300]}"
    assert (tmp_path / "share" / "trainyard" / "console" / "index.html").exists()
    assert list((tmp_path / "share" / "doc" / "trainyard" / "schemas").glob("*.json"))
