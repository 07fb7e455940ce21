using System.Diagnostics.Metrics;
using System.Text.RegularExpressions;
using NUnit.Framework;
using RedisFailover.Monitor.Hosting;

namespace RedisFailover.UnitTests.Documents;

/// <summary>Alert rules, dashboard and documents name metrics that there are, and the documents name all.</summary>
[TestFixture]
public sealed partial class MetricNameTests
{
    [Test]
    public void What_alerts_and_dashboard_ask_for_is_measured_and_the_document_names_every_metric()
    {
        HashSet<string> measured = Measured();
        Assert.Multiple(() =>
        {
            foreach (string file in new[] { "config/prometheus-alerts.yml", "config/grafana-dashboard.json", "docs/operations.md" })
            {
                Assert.That(Named(file).Except(measured), Is.Empty, file);
            }

            Assert.That(measured.Where(name => !name.EndsWith("_bucket", StringComparison.Ordinal)).Except(Named("docs/operations.md")),
                Is.Empty);
        });
    }

    private static IEnumerable<string> Named(string file)
        => Metric().Matches(File.ReadAllText(Path.Combine(Document.Root, file))).Select(match => match.Value).Distinct();

    /// <summary>By Prometheus' names: a counter's ends in _total, a histogram has buckets.</summary>
    private static HashSet<string> Measured()
    {
        HashSet<string> names = [];
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, _) =>
            {
                if (instrument.Meter.Name == MonitorMetrics.MeterName)
                {
                    names.UnionWith(instrument switch
                    {
                        Counter<long> or ObservableCounter<long> => [instrument.Name + "_total"],
                        Histogram<double> => [instrument.Name + "_seconds", instrument.Name + "_seconds_bucket"],
                        _ => [instrument.Name],
                    });
                }
            },
        };
        listener.Start();
        using var metrics = new MonitorMetrics(null!);
        return names;
    }

    [GeneratedRegex("redis_failover_[a-z_]+")]
    private static partial Regex Metric();
}
