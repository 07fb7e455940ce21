using System.Collections.Immutable;
using System.Runtime.InteropServices;

namespace RedisFailover.IntegrationTests.Harness;

/// <summary>Where the programs are that the tests start: on the PATH, in Debian's package locations, or built beside us.</summary>
public static class Programs
{
    private const string DebianZooKeeperJar = "/usr/share/java/zookeeper.jar";

    /// <summary>What the manifest of Debian's jar forgets, and a server with TLS needs.</summary>
    private const string DebianTlsJars = "/usr/share/java/netty-codec.jar:/usr/share/java/netty-resolver.jar";
    private const string DebianLogJar = "/usr/share/java/slf4j-simple.jar";
    private static readonly string[] MoreFolders = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"];
    private static readonly string[] ZooKeeperFolders = ["/usr/share/zookeeper/bin", "/opt/zookeeper/bin", "/usr/local/zookeeper/bin"];

    /// <summary>$REDIS_SERVER, or the one that is installed.</summary>
    public static string RedisServer => Given("REDIS_SERVER") ?? Find("redis-server") ?? throw Missing("redis-server");

    public static string Java => FromJavaHome() ?? Find("java") ?? throw Missing("java (it comes with zookeeper)");

    public static string ZooKeeperCli
        => ZooKeeperHome is { } home
            ? Path.Combine(home, "bin", "zkCli.sh")
            : Find("zkCli.sh", ZooKeeperFolders) ?? throw Missing("zkCli.sh (it comes with zookeeper)");

    /// <summary>
    /// $ZOOKEEPER_CLASSPATH, or what lies in $ZOOKEEPER_HOME, or Debian's jar (its manifest names the others), or the lib folder of an
    /// unpacked ZooKeeper.
    /// </summary>
    public static string ZooKeeperClassPath
    {
        get
        {
            if (Given("ZOOKEEPER_CLASSPATH") is { } given)
            {
                return given;
            }

            if (ZooKeeperHome is { } home)
            {
                return Path.Combine(home, "lib", "*");
            }

            if (File.Exists(DebianZooKeeperJar))
            {
                return $"{DebianZooKeeperJar}:{DebianTlsJars}{(File.Exists(DebianLogJar) ? ":" + DebianLogJar : "")}";
            }

            string? server = Find("zkServer.sh", ZooKeeperFolders);
            string? lib = server is null ? null : Path.GetFullPath(Path.Combine(Path.GetDirectoryName(server)!, "..", "lib"));
            return lib is not null && Directory.Exists(lib) ? Path.Combine(lib, "*") : throw Missing("zookeeper");
        }
    }

    /// <summary>Whether ZooKeeper prints its log: only with Debian's simple logger, which is set to stderr.</summary>
    public static bool ZooKeeperLogs => ZooKeeperClassPath.EndsWith(DebianLogJar, StringComparison.Ordinal);

    public static string Monitor => Built("RedisFailover.Monitor", "redis-failover-monitor.dll");

    /// <summary>A monitor of an earlier build; null where none is given. See scripts/test-upgrade.sh.</summary>
    public static string? OldMonitor => Given("OLD_MONITOR");

    public static string Cli => Built("RedisFailover.Cli", "redis-failover.dll");

    public static string WebSample => Built(Path.Combine("Samples", "Web"), "RedisFailover.Samples.Web.dll");

    /// <summary>
    /// The dotnet host that runs us, else the one on the PATH. (The built executables need DOTNET_ROOT where .NET is elsewhere.)
    /// </summary>
    public static string Dotnet
        => Given("DOTNET_HOST_PATH") is { } host ? host
            : Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" ? Environment.ProcessPath!
            : Find("dotnet") ?? Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", "dotnet");

    public static string RepositoryRoot { get; } = FindRepositoryRoot();

    public static string? Find(string name, params ReadOnlySpan<string> moreFolders)
    {
        string[] path = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries);
        ImmutableArray<string> folders = [.. path, .. MoreFolders, .. moreFolders];
        return folders.Select(folder => Path.Combine(folder, name)).FirstOrDefault(File.Exists);
    }

    private static string? ZooKeeperHome => Given("ZOOKEEPER_HOME");

    private static string? Given(string variable) => Environment.GetEnvironmentVariable(variable) is { Length: > 0 } value ? value : null;

    private static string? FromJavaHome()
        => Given("JAVA_HOME") is { } home && File.Exists(Path.Combine(home, "bin", "java"))
            ? Path.Combine(home, "bin", "java")
            : null;

    private static InvalidOperationException Missing(string what)
        => new(
            $"{what} is not installed on this machine: run scripts/install-dependencies.sh (as root, or with sudo), then the tests again.");

    /// <summary>In $COMPILED_PROGRAMS (scripts/test.sh compiles them ahead of time there), or as it was built with these tests.</summary>
    private static string Built(string project, string file)
    {
        if (Given("COMPILED_PROGRAMS") is { } folder && Path.Combine(folder, project, file) is var ahead && File.Exists(ahead))
        {
            return ahead;
        }

        // The monitor of the same configuration as these tests: .../bin/Release/net10.0/.
        DirectoryInfo framework = new(AppContext.BaseDirectory.TrimEnd('/'));
        string path = Path.Combine(RepositoryRoot, "src", project, "bin", framework.Parent!.Name, framework.Name, file);
        return File.Exists(path) ? path : throw new InvalidOperationException($"{path} is not there: build the solution first.");
    }

    private static string FindRepositoryRoot()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "redis-failover-zk.sln")))
            {
                return folder.FullName;
            }
        }

        throw new InvalidOperationException("These tests run from inside the repository: they start the programs built there.");
    }
}
