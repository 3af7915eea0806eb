"""The course: exercises in which a student writes the operations and their gradients.

    exercise.py   the class of an exercise: how one is written
    exercises/    a file for each exercise
    solutions/    solutions of exercises that no twin in ``odyssey.reference`` solves
    course.py     the exercises in order, and what each may use of those before it
    sources.py    the text of stubs and solutions, taken from the source of the solution
    comparing.py  two results side by side, in words and small arrays
    grading.py    the checks of an exercise, run on the student's functions, with
                  ``calls.py``, ``cases.py`` and ``gradients.py``
    child.py      the process in which they run; ``running.py`` starts it
    progress.py   what has been passed, hinted and shown: a plain file
    networks.py   the milestones' networks, made of the student's functions
    training.py   their training; ``milestones.py`` trains with the student's functions,
                  then with the library's
    steppers/     pages that show an operation step by step

``python -m odyssey learn`` is its command.  None of this needs Numba, except the
library's own functions in a milestone.
"""
