"""Studies with a known effect: small files in the public format, and the real ones where they are."""

import numpy as np
import pandas as pd
import pytest

from causalsem.datasets import ihdp_truth, load_ihdp, load_lalonde, load_twins, twins_truth
from causalsem.errors import DataError, FileError, SettingError

TRAITS = "age,educ,black,hisp,marr,nodegree,re74,re75"


@pytest.fixture
def real(shared):
    def find(*parts):
        path = shared.joinpath("data", *parts)
        if not path.exists():
            pytest.skip(f"needs ../shared/data/{'/'.join(parts)}, which is absent here")
        return path

    return find


def test_a_line_of_ihdp_is_treatment_outcome_and_traits_and_its_truth_stands_apart(tmp_path):
    path = tmp_path / "ihdp_npci_1.csv"
    traits = ",".join(str(k) for k in range(25))
    path.write_text(f"1,5.5,4.25,3.25,6.75,{traits}\n0,1,2,1.5,2.5,{traits}\n")
    table = load_ihdp(path)
    assert table.names == ("treatment", "outcome", *(f"x{k}" for k in range(1, 26)))
    assert table.frame.iloc[0].to_list() == [1, 5.5, *range(25)]
    assert ihdp_truth(path).tolist() == [[3.25, 6.75], [1.5, 2.5]]
    assert table.roles["treatment"] == "exposure"


def test_another_file_is_not_taken_for_ihdp(tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("1,2,3\n0,1,2\n")
    with pytest.raises(DataError, match=r"has 3 columns.*IHDP has 30 without a header"):
        load_ihdp(path)
    with pytest.raises(FileError, match=r"missing\.csv is not there; hand in the folder that holds ihdp_npci_\*\.csv"):
        load_ihdp(tmp_path / "missing.csv")


def test_a_folder_of_one_replication_will_do_and_one_of_several_asks_which(tmp_path):
    line = ",".join(["1", "5.5", "4.25", "3.25", "6.75", *map(str, range(25))])
    (tmp_path / "ihdp_npci_4.csv").write_text(f"{line}\n0{line[1:]}\n")
    assert len(load_ihdp(tmp_path)) == 2
    (tmp_path / "ihdp_npci_5.csv").write_text(f"{line}\n0{line[1:]}\n")
    with pytest.raises(FileError, match=r"holds 2 files ihdp_npci_\*\.csv; hand in one of them, such as .*ihdp_npci_4"):
        load_ihdp(tmp_path)


def test_one_twin_of_each_pair_is_seen(tmp_path):
    path = tmp_path / "Twin_data.csv"
    # The quotes are those of the public file.
    path.write_text("'anemia','gestat','outcome(t=0)’,'outcome(t=1)’\n2,26,9999,9999\n1,30,3,9999\n2,20,17,40\n1,31,9999,9999\n")
    table, truth = load_twins(path, seed=1), twins_truth(path)
    assert truth.tolist() == [[0, 0], [1, 0], [1, 1], [0, 0]]
    assert table.names == ("treatment", "outcome", "anemia", "gestat")
    seen = truth[np.arange(4), table.column("treatment").astype(int)]
    assert table.column("outcome").tolist() == seen.tolist()
    assert load_twins(path, seed=1).frame.equals(table.frame)


def test_the_survey_takes_the_place_of_the_programmes_controls(tmp_path):
    head = f"data_id,treat,{TRAITS},re78\n"
    (tmp_path / "nsw_mixtape.csv").write_text(head + "a,1,37,11,1,0,1,1,0,0,9930\na,0,22,9,0,1,0,1,0,0,3595\n")
    pd.DataFrame([["b", 0, 45, 11, 0, 0, 1, 1, 21516, 25243, 25564]], columns=head.strip().split(",")).to_csv(
        tmp_path / "cps_mixtape.csv.gz", index=False
    )
    assert load_lalonde(tmp_path).column("re78").tolist() == [9930, 3595]
    assert load_lalonde(tmp_path, controls="survey").column("re78").tolist() == [9930, 25564]
    with pytest.raises(SettingError, match="unknown controls 'psid'"):
        load_lalonde(tmp_path, controls="psid")
    (tmp_path / "cps_mixtape.csv.gz").unlink()
    with pytest.raises(FileError, match=r"no cps_mixtape\.csv \(plain or \.gz\)"):
        load_lalonde(tmp_path, controls="survey")


def test_the_survey_lies_beside_the_file_that_was_handed_in(tmp_path):
    columns = "treat,age,educ,black,hisp,marr,nodegree,re74,re75,re78"
    (tmp_path / "nsw_mixtape.csv").write_text(f"{columns}\n1,20,10,1,0,0,1,0,0,5000\n0,30,10,1,0,0,1,0,0,4000\n")
    with pytest.raises(FileError, match=r"no cps_mixtape\.csv"):
        load_lalonde(tmp_path / "nsw_mixtape.csv", controls="survey")


def test_words_and_odd_strengths_are_refused_by_name(tmp_path):
    path = tmp_path / "Twin_data.csv"
    path.write_text("'anemia','outcome(t=0)’,'outcome(t=1)’\n2,9999,9999\nsome,3,9999\n")
    with pytest.raises(DataError, match=r"column 'anemia' of .*holds numbers, but 'some' in row 1"):
        load_twins(path)
    with pytest.raises(SettingError, match="strength=-1"):
        load_twins(path, strength=-1)


def test_the_real_studies_have_their_published_sizes_and_effects(real):
    ihdp = real("ihdp", "ihdp_npci_1.csv.gz")
    table = load_ihdp(ihdp)
    assert (len(table), table.column("treatment").sum()) == (747, 139)
    assert np.diff(ihdp_truth(ihdp).mean(axis=0))[0] == pytest.approx(4.0, abs=0.1)
    twins = load_twins(real("twins", "Twin_data.csv.gz"))
    assert len(twins) == 11_400
    assert 0.4 < twins.column("treatment").mean() < 0.6
    experiment = load_lalonde(real("lalonde")).frame.groupby("treat")["re78"].mean()
    assert experiment[1] - experiment[0] == pytest.approx(1794, abs=1)
    assert len(load_lalonde(real("lalonde"), controls="survey")) == 185 + 15_992
