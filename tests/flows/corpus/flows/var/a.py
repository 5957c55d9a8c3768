class Thing:
    def __init__(self, number):
        self.number = number


def main():
    return {"v": Thing(5)}
