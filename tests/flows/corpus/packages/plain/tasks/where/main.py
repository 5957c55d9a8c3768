import os


def main():
    return {"y": os.path.basename(os.environ["OOCANA_PKG_DIR"])}
