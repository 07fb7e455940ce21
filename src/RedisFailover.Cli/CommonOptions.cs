using System.CommandLine;
using System.Globalization;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Cli;

/// <summary>The options that every command has, and what they have in common.</summary>
/// <param name="waitOption">The name of the option that bounds the waiting; another one where <c>--timeout</c> means something else.</param>
internal sealed class CommonOptions(string waitOption = "--timeout")
{
    private const string Variable = "REDIS_FAILOVER_ZK";

    internal Option<string?> ZooKeeper { get; } = new("--zk")
    {
        Description = $"The ZooKeeper servers and the root of the cluster: zk1:2181,zk2:2181/redis_failover. Or the environment variable {Variable}. "
            + $"Root when left out: {ZnodePaths.DefaultRoot}",
        HelpName = "h:p,h:p/path",
    };

    internal Option<TimeSpan?> Timeout { get; } = Durations.Option(
        waitOption, "How long to wait for ZooKeeper and for the cluster", TimeSpan.FromSeconds(10), TimeSpan.FromMilliseconds(100), TimeSpan.FromHours(1));

    internal Option<bool> Json { get; } = new("--json") { Description = "For programs: JSON instead of text" };

    internal Command AddTo(Command command)
    {
        command.Add(ZooKeeper);
        command.Add(Timeout);
        command.Add(Json);
        return command;
    }

    internal TimeSpan TimeoutOf(ParseResult parsed) => parsed.GetValue(Timeout)!.Value;

    internal ZooKeeperConnectionString ConnectionOf(ParseResult parsed)
    {
        string? text = parsed.GetValue(ZooKeeper) ?? Environment.GetEnvironmentVariable(Variable);
        if (string.IsNullOrWhiteSpace(text))
        {
            throw new CliException($"--zk is missing, and {Variable} is not set: where is ZooKeeper? (zk1:2181,zk2:2181/redis_failover)", CommandLine.WrongUsage);
        }

        try
        {
            ZooKeeperConnectionString connection = ZooKeeperConnectionString.Parse(text);
            return connection.Chroot.Length > 0 ? connection : ZooKeeperConnectionString.Parse(text.TrimEnd('/') + ZnodePaths.DefaultRoot);
        }
        catch (FormatException e)
        {
            throw new CliException($"--zk: {e.Message}", CommandLine.WrongUsage, e);
        }
    }

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
                if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && value >= least && value <= most)
                {
                    return value;
                }

                result.AddError(string.Create(CultureInfo.InvariantCulture, $"{name} is '{text}'; allowed: a number from {least} to {most}."));
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
