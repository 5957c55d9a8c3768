export default () => void process.kill(process.pid, "SIGKILL");
