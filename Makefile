PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint docs gallery web bench clean

demo: .venv/stamp
	$(BIN)/clew demo

test: .venv/stamp
	$(BIN)/pytest -q -n 2 --dist loadgroup

lint: .venv/stamp
	$(BIN)/python web/build.py --check
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --pythonpath $(BIN)/python

# The front end's scripts, after a change in web/; they are committed, so that nobody else needs Node.
web: .venv/stamp
	$(BIN)/python web/build.py

# The documentation as a site that opens from its folder: site/index.html.
docs: .venv/stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# Its gallery, kept in docs/gallery/ and committed, and its notebooks as they run in the bundled model, kept in build/ and in the site when it is
# next made. About eleven minutes of one core; one circuit or notebook alone by its name behind the script.
gallery: .venv/stamp
	$(BIN)/python docs/_site/gallery.py
	$(BIN)/python docs/_site/notebooks.py

bench: .venv/stamp
	for script in bench/*.py; do $(BIN)/python $$script || exit 1; done

# Made once; again when what is to be installed changes. Both in one call, so that clew finds the packs beside it.
.venv/stamp: pyproject.toml clew/version.py packs/pyproject.toml constraints.txt
	@echo "setting up .venv: about 2 GB from the package index, a few minutes once"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e ./packs -e '.[all,dev]'
	touch $@

clean:
	rm -rf .venv web/node_modules dist build site packs/dist .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
