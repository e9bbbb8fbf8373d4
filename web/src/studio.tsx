import { render } from "preact";
import { App } from "./studio/App";
import { listen } from "./studio/keys";
import { begin } from "./studio/state";
import "../../clew/apps/pages/frame.css";
import "./studio/studio.css";

listen();
void begin();
render(<App />, document.getElementById("studio")!);
