#!/bin/bash
# The top of every job of `seedstudy run --engine slurm --template examples/slurm.sh`: your cluster's words, as they are.
# The array, requeueing, the signal before the time limit, the job's name and its output file are added by seedstudy.
#SBATCH --partition=gpu
#SBATCH --account=my-project
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=08:00:00
module load cuda
source ~/venvs/seedstudy/bin/activate
