import builtins

from clew.apps.cli import run


def test_a_folder_that_is_not_there_is_said(capsys):
    assert run(["studio", "nowhere"]) == 1
    assert "there is no folder 'nowhere'" in capsys.readouterr().err


def test_elsewhere_needs_a_token(capsys, tmp_path):
    assert run(["studio", str(tmp_path), "--host", "0.0.0.0", "--port", "0"]) == 1
    assert "token" in capsys.readouterr().err


def test_the_extra_that_is_missing_is_named(monkeypatch, capsys, tmp_path):
    real = builtins.__import__

    def without(name, *rest):
        if name.partition(".")[0] == "uvicorn":
            raise ModuleNotFoundError("no", name="uvicorn")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    assert run(["studio", str(tmp_path)]) == 1
    assert "pip install 'clew[studio]'" in capsys.readouterr().err
