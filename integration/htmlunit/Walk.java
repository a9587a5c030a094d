import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;

import org.htmlunit.BrowserVersion;
import org.htmlunit.Page;
import org.htmlunit.ScriptException;
import org.htmlunit.WebClient;
import org.htmlunit.WebWindow;
import org.htmlunit.html.DomElement;
import org.htmlunit.html.HtmlInput;
import org.htmlunit.html.HtmlPage;
import org.htmlunit.javascript.SilentJavaScriptErrorListener;

/**
 * The browser of the certification, on the pages of the server. Each line that it reads is an address, which it opens
 * without cookies after "open", and with those it has after "go". Through the pages for signing in, agreeing and signing
 * out it goes as the certification is told to. It prints a line: the pages on the way, a tab, and what stands on the last
 * one.
 */
public class Walk {
	static final StringBuilder problems = new StringBuilder();

	public static void main(String[] person) throws Exception {
		BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
		WebClient client = null;
		for (String line; (line = lines.readLine()) != null;) {
			String[] words = line.split(" ", 2);
			if (words[0].equals("open")) {
				client = newClient();
			}
			StringBuilder way = new StringBuilder();
			WebWindow window = client.getCurrentWindow();
			client.getPage(words[1]);
			for (int i = 0; i < 8; i++) {
				client.waitForBackgroundJavaScript(100);
				way.append(window.getEnclosedPage().getUrl().getPath()).append(' ');
				if (!step(window.getEnclosedPage(), person[0], person[1])) {
					break;
				}
			}
			System.out.println(way + "\t" + text(window.getEnclosedPage()) + "\t" + problems);
			problems.setLength(0);
		}
	}

	static WebClient newClient() {
		WebClient client = new WebClient(BrowserVersion.CHROME);
		client.getOptions().setUseInsecureSSL(true);
		client.getOptions().setThrowExceptionOnScriptError(false);
		client.getOptions().setThrowExceptionOnFailingStatusCode(false);
		client.setJavaScriptErrorListener(new SilentJavaScriptErrorListener() {
			@Override
			public void scriptException(HtmlPage page, ScriptException e) {
				problems.append(e.getMessage().replaceAll("\\s+", " "));
			}
		});
		return client;
	}

	/** Does what is asked for on a page; false where there is nothing to do. */
	static boolean step(Page page, String name, String password) throws Exception {
		if (!(page instanceof HtmlPage)) {
			return false;
		}
		HtmlPage html = (HtmlPage) page;
		String selector;
		switch (html.getUrl().getPath()) {
		case "/login":
			((HtmlInput) html.getElementById("username")).type(name);
			((HtmlInput) html.getElementById("password")).type(password);
			selector = "form button[type=submit]";
			break;
		case "/consent":
			selector = "#allow";
			break;
		case "/logout":
			selector = "#sign-out";
			break;
		default:
			return false;
		}
		DomElement button = html.querySelector(selector);
		if (button == null) {
			return false;
		}
		button.click();
		return true;
	}

	static String text(Page page) {
		String text = page instanceof HtmlPage ? ((HtmlPage) page).asNormalizedText()
				: page.getWebResponse().getContentAsString();
		return text.replaceAll("\\s+", " ");
	}
}
