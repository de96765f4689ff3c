# What a job asks of a cluster. It asks for more at each attempt: it may have been ended for asking
# for too little.

DAY = 1440  # minutes; what goes on from a journal or a checkpoint need not ask for more

# model: memory in MB and time in minutes of a training at the paper's scale
NEEDS = {
    "fc": [4000, 480],
    "lenet5": [4000, 240],
    "resnet18": [8000, 720],
    "vit": [12000, DAY],
    "mlpmixer": [12000, DAY],
}


def needs(wildcards):
    """Memory and time of a training of a run's model."""
    return NEEDS.get(job_of(wildcards).options["model"], [16000, DAY])


def mb(memory):
    """Memory, a number or a function of the wildcards: half as much again at each attempt."""

    def asked(wildcards, attempt):
        first = memory(wildcards) if callable(memory) else memory
        return first * (attempt + 1) // 2

    return asked


def minutes(time):
    """Time, a number or a function of the wildcards: as much again at each attempt, a day at most."""

    def asked(wildcards, attempt):
        first = time(wildcards) if callable(time) else time
        return min(DAY, first * attempt)

    return asked


def gpus(wildcards):
    """One, or None, which leaves the resource out: to some executors 0 is a request as well."""
    return None if job_of(wildcards).options["device"] == "cpu" else 1
