import not_there


def main():
    return not_there
