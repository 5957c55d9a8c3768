import { x } from "./missing";

export default () => ({ y: x });
