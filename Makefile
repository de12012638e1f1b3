# `make demo` and `make test` need Python 3.11 or newer and this checkout, nothing else:
# the first run of either sets up .venv, later runs start at once. ARGS="..." is passed on.

VENV := .venv
BIN  := $(VENV)/bin
XVFB := $(if $(filter Linux,$(shell uname -s)),xvfb-run -a -s "-screen 0 1600x1000x24")

.PHONY: demo test lint bench weights text-weights screenshots docs clean

demo: $(VENV)/.ready-demo
	@$(BIN)/napari-sam demo $(ARGS)

test: $(VENV)/.ready-test
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

lint: $(VENV)/.ready-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.ready-test
	@$(BIN)/python benchmarks/run_all.py $(ARGS)

# the bundled weights from the data folders: hours; interrupted, the same command goes on
weights: $(VENV)/.ready-demo
	@$(BIN)/python scripts/make_weights.py $(ARGS)

# the bundled CLIP, which reads text prompts: an hour or two
text-weights: $(VENV)/.ready-demo
	@$(BIN)/python scripts/make_text_weights.py $(ARGS)

screenshots: $(VENV)/.ready-test
	$(XVFB) $(BIN)/python docs/make_screenshots.py $(ARGS)

docs: $(VENV)/.ready-docs
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) build dist site demo-output .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(VENV)/.ready-%: pyproject.toml scripts/setup.sh
	@sh scripts/setup.sh $*
	@touch $@
