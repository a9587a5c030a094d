import java.io.File;
import java.io.IOException;
import java.net.InetAddress;

import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;

import org.apache.catalina.Context;
import org.apache.catalina.connector.Connector;
import org.apache.catalina.startup.Tomcat;

/** An application that answers with the path by which the container chose its servlet. */
public class Tomcat10 {
	public static void main(String[] args) throws Exception {
		Tomcat tomcat = new Tomcat();
		tomcat.setBaseDir(args[1]);
		Connector connector = new Connector();
		connector.setPort(Integer.parseInt(args[0]));
		connector.setProperty("address", "127.0.0.1");
		tomcat.setConnector(connector);
		Context context = tomcat.addContext("", new File(args[1]).getAbsolutePath());
		Tomcat.addServlet(context, "private", new Say("private"));
		Tomcat.addServlet(context, "other", new Say("other"));
		context.addServletMappingDecoded("/private/*", "private");
		context.addServletMappingDecoded("/", "other");
		tomcat.start();
		tomcat.getServer().await();
	}

	private static class Say extends HttpServlet {
		private final String name;

		Say(String name) { this.name = name; }

		@Override
		protected void service(HttpServletRequest request, HttpServletResponse response) throws IOException {
			response.getWriter().print(name + " " + request.getServletPath() + " " + request.getPathInfo());
		}
	}
}
