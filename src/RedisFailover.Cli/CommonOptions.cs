using System.CommandLine;
using System.Globalization;
using RedisFailover.Cli.Cluster;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Cli;

/// <summary>The options that every command has, and what they have in common.</summary>
/// <param name="waitOption">The name of the option that bounds the waiting; another one where <c>--timeout</c> means something
/// else.</param>
/// <param name="wait">Its default, in seconds.</param>
/// <param name="most">The longest; an hour when left out.</param>
internal sealed class CommonOptions(string waitOption = "--timeout", double wait = 5, TimeSpan? most = null)
{
    private const string Variable = "REDIS_FAILOVER_ZK";
    private const string DefaultFile = "/etc/redis-failover/zk";

    internal Option<string?> ZooKeeper { get; } = new("--zk")
    {
        Description = $"The ZooKeeper servers and the root of the cluster: zk1:2181,zk2:2181/redis_failover, or @FILE that holds this. "
            + $"When left out: the environment variable {Variable}, then the file {DefaultFile}. Root when left out: "
            + $"{ZnodePaths.DefaultRoot}. "
            + "Credentials and TLS by the environment: " + Texts.List(ZooKeeperAccess.Variables),
        HelpName = "h:p,h:p/path",
    };

    internal Option<string?> ClusterName { get; } = new("--cluster")
    {
        Description = "One of the clusters below the root of --zk: the one whose znodes are below ROOT/clusters/NAME",
        HelpName = "name",
    };

    internal Option<TimeSpan?> Timeout { get; } = Durations.Option(
        waitOption, "How long to wait for ZooKeeper and for the cluster", TimeSpan.FromSeconds(wait), TimeSpan.FromMilliseconds(100),
            most ?? TimeSpan.FromHours(1));

    internal Option<bool> Json { get; } = new("--json") { Description = "For programs: JSON instead of text" };

    /// <param name="command">The command.</param>
    /// <param name="isOfOne">Whether it is about one cluster: those that are about all below a root take no name.</param>
    internal Command AddTo(Command command, bool isOfOne = true)
    {
        command.Add(ZooKeeper);
        if (isOfOne)
        {
            command.Add(ClusterName);
        }

        command.Add(Timeout);
        command.Add(Json);
        return command;
    }

    internal TimeSpan TimeoutOf(ParseResult parsed) => parsed.GetValue(Timeout) ?? TimeSpan.FromSeconds(wait);

    internal ZooKeeperConnectionString ConnectionOf(ParseResult parsed) => ConnectionOf(parsed, parsed.GetValue(ClusterName));

    /// <summary>The root that the cluster has in common with others, and its name below it; null where it stands by itself.</summary>
    internal (ZooKeeperConnectionString Root, string Cluster)? RootOf(ParseResult parsed)
    {
        string connection = ConnectionOf(parsed).ToString();
        string clusters = new ZnodePaths("").Clusters + "/";
        int name = connection.LastIndexOf('/') + 1;
        return connection[..name].EndsWith(clusters, StringComparison.Ordinal)
            ? (ZooKeeperConnectionString.Parse(connection[..(name - clusters.Length)]), connection[name..]) : null;
    }

    private ZooKeeperConnectionString ConnectionOf(ParseResult parsed, string? cluster)
    {
        (string text, string source) = parsed.GetValue(ZooKeeper) is { } option ? (option, "--zk")
            : Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } variable ? (variable, Variable)
            : File.Exists(DefaultFile) ? ("@" + DefaultFile, DefaultFile)
            : throw new CliException(
                $"--zk is missing, {Variable} is not set, and there is no {DefaultFile}: where is ZooKeeper? "
                    + $"(zk1:2181,zk2:2181/redis_failover)",
                CommandLine.WrongUsage);
        try
        {
            string connection = text.StartsWith('@') ? FirstLine(source, text[1..]) : text;
            ZooKeeperConnectionString parsedConnection = ZooKeeperConnectionString.Parse(connection);
            parsedConnection = parsedConnection.Chroot.Length > 0
                ? parsedConnection
                : ZooKeeperConnectionString.Parse(connection.TrimEnd('/') + ZnodePaths.DefaultRoot);
            return cluster is null ? parsedConnection
                : ZooKeeperConnectionString.Parse(parsedConnection + new ZnodePaths("").Cluster(NameOf(cluster)).Root);
        }
        catch (Exception e) when (e is FormatException or ArgumentException)
        {
            throw new CliException($"{source}: {e.Message}", CommandLine.WrongUsage, e);
        }
    }

    /// <summary>A session with the cluster that is meant.</summary>
    /// <exception cref="CliException">ZooKeeper cannot be reached, or where it is was not said.</exception>
    internal Task<ClusterReader> ConnectAsync(ParseResult parsed, CancellationToken ct)
        => ClusterReader.ConnectAsync(ConnectionOf(parsed), TimeoutOf(parsed), parsed.InvocationConfiguration.Error, ct);

    /// <summary>The name of a cluster, which is a part of a path.</summary>
    internal static string NameOf(string cluster)
        => cluster.Length is > 0 and <= 100 && cluster.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.')
            && cluster.Trim('.').Length > 0
            ? cluster
            : throw new CliException(
                $"'{Words.Quoted(cluster)}' is no name of a cluster; allowed: 1 to 100 letters, digits and _ - .", CommandLine.WrongUsage);

    /// <summary>The first line that is neither empty nor a comment.</summary>
    private static string FirstLine(string source, string path)
        => NamedFile.Lines(source, path).Select(line => line.Trim()).FirstOrDefault(line => line[0] != '#')
            ?? throw new FormatException($"{path} holds no connection string; allowed: zk1:2181,zk2:2181/redis_failover.");

    /// <summary>A number within bounds, with an error that names the option, what was given and what is allowed.</summary>
    internal static Option<double> Number(string name, string description, double? initial, double least, double most)
    {
        Option<double> option = new(name)
        {
            Description = description,
            HelpName = "n",
            CustomParser = result =>
            {
                string text = result.Tokens.Count > 0 ? result.Tokens[^1].Value : "";
                if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && value >= least
                    && value <= most)
                {
                    return value;
                }

                result.AddError(
                    string.Create(CultureInfo.InvariantCulture, $"{name} is '{text}'; allowed: a number from {least} to {most}."));
                return 0;
            },
        };
        if (initial is { } number)
        {
            option.DefaultValueFactory = _ => number;
        }

        return option;
    }
}
