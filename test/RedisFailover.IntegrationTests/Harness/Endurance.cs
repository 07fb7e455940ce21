using System.Globalization;

namespace RedisFailover.IntegrationTests.Harness;

/// <summary>How long the tests of endurance endure.</summary>
internal static class Endurance
{
    /// <summary>scripts/soak.sh --failovers; a thousand by default.</summary>
    public static int Failovers
        => int.TryParse(Environment.GetEnvironmentVariable("ENDURANCE_FAILOVERS"), CultureInfo.InvariantCulture, out int failovers)
            ? failovers : 1000;
}
