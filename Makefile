# Everything installs itself into .venv: only Python >= 3.11 and make are needed.
PYTHON ?= python3
BIN := .venv/bin
UV := $(shell uv --version >/dev/null 2>&1 && command -v uv || echo .uv/bin/uv)
export UV_PYTHON_DOWNLOADS := never
# Compiled bytecode makes every later start of torch and timm seconds faster.
unexport PYTHONDONTWRITEBYTECODE

FAST := "not slow and not gpu and not cluster"

.PHONY: help install demo check lint types fast-core fast-train core dist docs studies coverage test slow slow-fuzz slow-soak slow-lowest slow-tpu slow-orders slow-trackers clean
.DEFAULT_GOAL := help

help:
	@echo "make demo   install, train six seeds of two recipes on the embedded data, compare them"
	@echo "make test   install, run every test but those of make slow"
	@echo "make slow   hours: a throw-away Slurm or Ray (docs/cluster.md), fuzzing, faults, XLA, oldest versions"
	@echo "make check  format, lint, types, import contracts, fast tests"
	@echo "make core   the package without its extras, from a wheel: its size, and the fast tests that need no torch"
	@echo "make docs   the documentation site, into site/"
	@echo "make studies CIFAR10=FOLDER  hours: train every study again and write docs/findings.md"
	@echo "make clean  remove what make installed and cached (results stay)"

install: .venv/.installed

.uv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "seedstudy needs Python >= 3.11: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet uv

.venv/.installed: pyproject.toml | $(filter .uv/bin/uv,$(UV))
	$(UV) sync --quiet --python $(PYTHON)
	@touch $@

demo: install
	$(BIN)/seedstudy run --recipe torchvision,a3 --seeds 6 --study demo
	$(BIN)/seedstudy compare torchvision a3 --study demo

# Independent of each other: `make -j2 check` runs two at a time.
check: lint types fast-core fast-train

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo

types: install
	$(BIN)/mypy

# Two parts, so that one process alone imports torch.
fast-core fast-train: fast-%: install
	$(BIN)/pytest -m $(FAST) --part $*

# The wheel in an environment of its own, without torch: what `pip install seedstudy` gives.
core: | $(filter .uv/bin/uv,$(UV))
	rm -rf .core
	$(UV) build --quiet --wheel --out-dir .core/dist .
	$(UV) venv --quiet --python $(PYTHON) .core/venv
	$(UV) pip install --quiet --python .core/venv .core/dist/*.whl
	@megabytes=$$(du -sm .core/venv | cut -f1); echo "core: $$megabytes MB"; test $$megabytes -le 750
	printf '79.1\n79.3\n79.2\n' > .core/a.txt
	printf '79.6\n79.7\n79.8\n' > .core/b.txt
	cd .core && venv/bin/seedstudy compare a.txt b.txt --margin 0.1
	$(UV) pip install --quiet --python .core/venv pytest pytest-xdist hypothesis
	.core/venv/bin/pytest -m $(FAST) -n 2

# The wheel and the source distribution; a tag of the repository publishes them (.github/workflows/release.yml).
dist: | $(filter .uv/bin/uv,$(UV))
	rm -rf dist
	$(UV) build --quiet --out-dir dist .

# For pip, from [tool.uv] in pyproject.toml.
constraints.txt: pyproject.toml
	$(PYTHON) -c 'import tomllib; \
		lines = tomllib.load(open("pyproject.toml", "rb"))["tool"]["uv"]["constraint-dependencies"]; \
		open("constraints.txt", "w").write("".join(line + "\n" for line in lines))'

# The site, in an environment of its own without torch. The pages need no network, only the installation does.
docs: .venv-docs/.installed
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/python -m mkdocs build --strict --quiet
	@echo "site/index.html"

.venv-docs/.installed: pyproject.toml | $(filter .uv/bin/uv,$(UV))
	$(UV) venv --quiet --clear --python $(PYTHON) .venv-docs
	$(UV) pip install --quiet --python .venv-docs --group docs --editable .
	@touch $@

# About 18 hours of one process on a busy machine; resumable. CIFAR10 is the folder of the data set.
studies: install
	$(BIN)/seedstudy run studies/a2_100_seeds/study.toml
	$(BIN)/seedstudy run studies/a2_against_a3/study.toml
	$(BIN)/seedstudy run studies/rsb_seeds/study.toml --data-dir $(CIFAR10)
	$(BIN)/seedstudy run studies/resnet_rs_ladder/study.toml --data-dir $(CIFAR10)
	$(BIN)/seedstudy run studies/rsb_recipes/study.toml --data-dir $(CIFAR10)
	$(BIN)/seedstudy run studies/video/one_frame.toml
	$(BIN)/seedstudy run studies/video/study.toml
	for epochs in 1 3 10 30; do $(BIN)/seedstudy run studies/short_and_long/study.toml --data-dir $(CIFAR10) \
		--epochs $$epochs --study short_and_long_$$epochs || exit 1; done
	for epochs in 3 30 10; do for size in 16 24; do $(BIN)/seedstudy run studies/resnet_rs_scaling/study.toml \
		--data-dir $(CIFAR10) --set train_size=$$size --set test_size=$$size --epochs $$epochs \
		--study resnet_rs_scaling_$${size}_$$epochs || exit 1; done; \
		$(BIN)/seedstudy run studies/resnet_rs_scaling/px32.toml --data-dir $(CIFAR10) --epochs $$epochs \
		--study resnet_rs_scaling_32_$$epochs || exit 1; done
	$(BIN)/python -m studies.variance_sources --data-dir $(CIFAR10) --results results
	$(BIN)/python -m studies.frames results/a2_100_seeds
	$(BIN)/python -m studies.frames results/rsb_seeds
	$(BIN)/python -m studies.frames results/resnet_rs_ladder
	$(BIN)/python -m studies.frames results/rsb_recipes
	$(BIN)/python -m studies.frames results/video results/video_one_frame
	$(BIN)/python -m studies.frames $(foreach epochs,1 3 10 30,results/short_and_long_$(epochs))
	$(BIN)/python -m studies.short_and_long.reading $(foreach epochs,1 3 10 30,results/short_and_long_$(epochs))
	$(BIN)/python -m studies.resnet_rs_scaling.small $(foreach epochs,3 10 30,$(foreach size,16 24 32, \
		results/resnet_rs_scaling_$(size)_$(epochs)))
	$(BIN)/python -m studies.findings

coverage: install
	$(BIN)/pytest -m $(FAST) -n 2 --cov=seedstudy --cov-branch --cov-report=term:skip-covered

# `make test AFTER=check` leaves out what `make check` has just run.
test: install
	$(BIN)/pytest -n 2 -m "not long$(if $(filter check,$(AFTER)), and (slow or gpu))"

slow: install slow-fuzz slow-soak slow-lowest slow-tpu slow-orders slow-trackers
	$(BIN)/pytest -m "cluster or long"

# Each of 53 targets ten minutes: about nine hours in all.
slow-fuzz: install
	FUZZ_SECONDS=600 $(BIN)/pytest -s tests/fuzz

# Every order of the steps of two processes on a results folder.
slow-orders: install
	SEEDSTUDY_EXHAUSTIVE=1 $(BIN)/pytest tests/store/test_protocol.py

slow-soak: install
	$(BIN)/python tests/faults/soak.py --trials 500 --every 3

# The oldest versions that pyproject.toml allows.
slow-lowest: install
	$(UV) venv --quiet --clear --python $(PYTHON) .venv-lowest
	$(UV) pip install --quiet --python .venv-lowest --no-config --resolution lowest-direct ".[train]"
	$(UV) pip install --quiet --python .venv-lowest --no-config pytest hypothesis
	.venv-lowest/bin/pytest -m $(FAST) -W default

# One trial on one XLA device: torch_xla's own CPU stands in for a chip.
slow-tpu: install
	$(UV) venv --quiet --clear --python $(PYTHON) .venv-tpu
	$(UV) pip install --quiet --python .venv-tpu ".[tpu]" pytest
	PJRT_DEVICE=CPU XLA_FLAGS=--xla_backend_optimization_level=0 .venv-tpu/bin/pytest -W default tests/train/test_tpu.py

# Callbacks and trackers on the real libraries. trackio needs an older Pillow than the rest.
slow-trackers: | $(filter .uv/bin/uv,$(UV))
	$(UV) venv --quiet --clear --python $(PYTHON) .venv-trackers
	$(UV) pip install --quiet --python .venv-trackers ".[train,lightning,transformers,mlflow,wandb,tensorboard]" pytest hypothesis
	.venv-trackers/bin/pytest -W default tests/commands/test_callbacks.py tests/commands/test_trackers.py
	$(UV) venv --quiet --clear --python $(PYTHON) .venv-trackers
	$(UV) pip install --quiet --python .venv-trackers ".[train,trackio]" pytest hypothesis
	.venv-trackers/bin/pytest -W default tests/commands/test_trackers.py -k trackio

clean:
	rm -rf site .venv .venv-docs .venv-lowest .venv-tpu .venv-trackers .core dist .coverage .uv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
